//! Where the database is: `database` is an address, or a mapping of its parts. What is written there may be a secret, so no
//! fault repeats a value.

use std::borrow::Cow;
use std::path::Path;

use crate::database::{Address, MySqlAddress, TLS_OPTIONS, encode_inserted};
use crate::diagnostic::Finding;
use crate::yaml::{Fault, Node, Section, Spot, Value};

const EXAMPLE: &str = "mysql://user:password@127.0.0.1/bank";

/// `None` only together with a fault.
pub(super) fn read_database(
    section: &mut Section<'_>,
    base: &Path,
    faults: &mut Vec<Fault>,
) -> Option<Address> {
    let node = section.required_node("database", EXAMPLE)?;
    let address = match &node.value {
        Value::Scalar { text, inserted, .. } => Address::parse(&encode_inserted(text, inserted), base),
        Value::Map(_) => return read_parts(section.spot("database"), node, base, faults),
        Value::List(_) | Value::Null => Err("found a list, expected an address or a mapping".into()),
    };
    let spot = section.spot("database");
    let fault = |found: Finding| Fault::new(spot, found.within("database"));
    address.map_err(|found| section.fault(fault(found))).ok()
}

fn read_parts(spot: Option<Spot>, node: &Node, base: &Path, faults: &mut Vec<Fault>) -> Option<Address> {
    let mut section = Section::new("database", spot, node).map_err(|fault| faults.push(fault)).ok()?;
    let host = section.required("host", "127.0.0.1");
    let port = section.text("port").map(|text| text.parse::<u16>());
    if let Some(Err(_)) = port {
        let message = "database.port: expected a number from 0 to 65535, found something else";
        section.fault(Fault::new(section.spot("port"), message));
    }
    let user = section.required("user", "realtime");
    let password_spot = section.spot("password_file");
    let password = section.text("password");
    let password = match section.path("password_file", base) {
        None => password,
        Some(_) if password.is_some() => {
            let message = "database: found password and password_file, expected one of them";
            section.fault(Fault::new(password_spot, message));
            None
        }
        Some(file) => read_password(&file)
            .map_err(|problem| {
                section.fault(Fault::new(password_spot, format!("database.password_file: {problem}")));
            })
            .ok(),
    };
    let name = section.required("name", "bank");
    let tls = TLS_OPTIONS.map(|option| (option, section.text(option)));
    section.finish(faults);
    let address = MySqlAddress::new(host?, port.transpose().ok()?, user?, password, name?);
    let tls = tls.into_iter().filter_map(|(name, value)| Some((Cow::from(name), Cow::from(value?))));
    let address = address.with_tls(tls, base);
    let address = address.map_err(|problem| faults.push(Fault::new(spot, format!("database: {problem}"))));
    address.ok().map(Address::MySql)
}

/// The text of a file without the end of its last line, as editors and secret stores leave it.
pub(super) fn read_password(file: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let password = line.strip_suffix('\r').unwrap_or(line);
    if password.is_empty() {
        return Err(format!("{} is empty", file.display()));
    }
    Ok(password.to_owned())
}
