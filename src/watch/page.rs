//! The page of a job: one HTML document with its styles, its scripts and the library of its charts, and the policy that
//! makes a browser run these scripts and nothing else.
//!
//! The parts are files of their own in `page/`, in the binary. `index.html` names them in double braces, in the order
//! they are put together. What the page shows, it asks for by `/api/...`.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256};

macro_rules! parts {
    ($($name:literal),* $(,)?) => { [$(($name, include_str!(concat!("page/", $name)))),*] };
}

const INDEX: &str = include_str!("page/index.html");
const PARTS: [(&str, &str); 12] = parts![
    "uplot/uPlot.min.css",
    "page.css",
    "uplot/LICENSE",
    "uplot/uPlot.iife.min.js",
    "format.js",
    "dom.js",
    "charts.js",
    "graph.js",
    "views.js",
    "status.js",
    "details.js",
    "page.js",
];

static HTML: LazyLock<String> = LazyLock::new(|| put_together(INDEX, &PARTS));

static POLICY: LazyLock<String> = LazyLock::new(|| {
    let (scripts, styles) = (hashes(&HTML, "script"), hashes(&HTML, "style"));
    [
        "default-src 'none'",
        &format!("script-src {scripts}"),
        &format!("style-src {styles}"),
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ]
    .join("; ")
});

/// The document.
pub fn html() -> &'static str {
    &HTML
}

/// The value of the header `Content-Security-Policy` to send with it: a script or style that is not of the document is not
/// used, and no other host is asked.
pub fn content_security_policy() -> &'static str {
    &POLICY
}

/// Puts the parts in the places that name them. A name that is no part stays, and tests find it.
fn put_together(index: &str, parts: &[(&str, &str)]) -> String {
    let mut pieces = index.split("{{");
    let mut html = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let found = piece.split_once("}}").and_then(|(name, rest)| {
            parts.iter().find(|(part, _)| *part == name).map(|(_, text)| [*text, rest])
        });
        match found {
            Some(texts) => html.extend(texts),
            None => html.extend(["{{", piece]),
        }
    }
    html
}

/// The hashes of all elements of a name, as a policy lists them.
fn hashes(html: &str, element: &str) -> String {
    let (start, end) = (format!("<{element}"), format!("</{element}>"));
    let mut rest = html;
    let mut hashes = Vec::new();
    while let Some((_, found)) = rest.split_once(&start) {
        let Some((text, after)) = found.split_once(&end) else { break };
        let Some((_, text)) = text.split_once('>') else { break };
        hashes.push(format!("'sha256-{}'", BASE64.encode(Sha256::digest(text))));
        rest = after;
    }
    hashes.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_in_the_page_once_and_no_other_is_named() {
        assert!(!html().contains("{{"), "a part is named and not there");
        for (name, text) in PARTS {
            assert_eq!(INDEX.matches(&format!("{{{{{name}}}}}")).count(), 1, "{name} has one place");
            assert_eq!(html().matches(text).count(), 1, "{name} is in its place");
        }
    }

    #[test]
    fn every_file_of_the_page_is_a_part() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/watch/page");
        let in_folder = |folder: &std::path::Path, before: &str| -> Vec<String> {
            let entries = std::fs::read_dir(folder).expect("the folder");
            let names =
                entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
            names.map(|name| format!("{before}{name}")).collect()
        };
        let mut files = in_folder(&folder, "");
        files.retain(|name| name != "index.html" && name != "uplot");
        files.extend(in_folder(&folder.join("uplot"), "uplot/"));
        files.sort();
        let mut parts: Vec<String> = PARTS.iter().map(|(name, _)| (*name).to_owned()).collect();
        parts.sort();
        assert_eq!(files, parts);
    }

    #[test]
    fn no_part_ends_the_element_it_is_in() {
        for (name, text) in PARTS {
            let text = text.to_lowercase();
            for end in ["</script", "</style", "<!--", "-->"] {
                assert!(!text.contains(end), "{name} holds {end}");
            }
        }
    }

    #[test]
    fn the_policy_lists_the_scripts_and_styles_by_their_hashes() {
        // printf 'let a = 1;' | openssl dgst -sha256 -binary | base64
        let html =
            "<style>a{}</style><script>let a = 1;</script>\n<script type=\"module\">let a = 1;</script>";
        let hash = "'sha256-xY6QKfH9PRsQnLz56nj6MBwiK5oHg+im1Jkpdp1x/Ck='";
        assert_eq!(hashes(html, "script"), format!("{hash} {hash}"));
        assert_eq!(content_security_policy().matches("'sha256-").count(), 3);
        assert!(!content_security_policy().contains("unsafe"));
    }

    #[test]
    fn the_page_names_no_other_host() {
        let used = html().split(['"', '\'', '(', ' ', '\n', '`']).filter(|word| word.starts_with("http"));
        let hosts: Vec<&str> = used.filter(|word| word.contains("://")).collect();
        // Names, not addresses: of SVG's elements, and of the library in its banner.
        let names = ["http://www.w3.org/2000/svg", "https://github.com/leeoniya/uPlot"];
        let others: Vec<_> =
            hosts.iter().filter(|host| !names.iter().any(|name| host.starts_with(name))).collect();
        assert!(others.is_empty(), "{others:?}");
    }
}
