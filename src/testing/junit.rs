//! The report as JUnit XML, for CI.

use std::time::Duration;

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use super::report::{FileReport, Report};

/// The whole report as XML.
///
/// # Errors
/// The writer of XML refuses a text.
pub fn junit(report: &Report, elapsed: Duration) -> Result<String, String> {
    let mut xml = quick_junit::Report::new("realtime-processor test");
    xml.set_time(elapsed);
    xml.add_test_suites(report.files.iter().map(suite));
    xml.to_string().map_err(|error| error.to_string())
}

fn suite(file: &FileReport) -> TestSuite {
    let mut suite = TestSuite::new(file.file.as_str());
    suite.set_time(file.tests.iter().map(|test| test.elapsed).sum());
    for test in &file.tests {
        let status = match test.failures.first() {
            None => TestCaseStatus::success(),
            Some(first) => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                let headlines: Vec<String> = test.failures.iter().map(|failure| failure.headline()).collect();
                let texts: String = test.failures.iter().map(|failure| failure.render(false)).collect();
                let kind = match first {
                    super::report::Failure::Stopped(_) => "stopped",
                    super::report::Failure::NothingExpected | super::report::Failure::Unmet(_) => "rows",
                    super::report::Failure::Cuts(_) => "cuts",
                };
                status.set_type(kind).set_message(headlines.join("; ")).set_description(texts);
                status
            }
        };
        let mut case = TestCase::new(test.name.as_str(), status);
        case.set_classname(file.file.as_str()).set_time(test.elapsed);
        case.extra.insert("file".into(), file.file.as_str().into());
        case.extra.insert("line".into(), test.line.to_string().into());
        suite.add_test_case(case);
    }
    suite
}
