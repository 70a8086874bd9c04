//! A GET as a visitor's browser would send it, without redirects.

use std::path::Path;
use std::time::Duration;

use super::{Answer, LONGEST_PAGE, NoAnswer};
use crate::site::tls;

pub(super) fn get(
    url: &str,
    timeout: Duration,
    authorities: Option<&Path>,
) -> Result<Answer, NoAnswer> {
    let mut settings = ureq::Agent::config_builder()
        .timeout_global(Some(timeout))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        // What the administrator named is asked, not what a variable of the daemon leads to.
        .proxy(None)
        .user_agent(concat!(
            "funicular/",
            env!("CARGO_PKG_VERSION"),
            " (release check)"
        ));
    if url.starts_with("https:") {
        let tls = tls::trusting(authorities).map_err(NoAnswer::Broken)?;
        settings = settings.tls_config(tls);
    }
    let agent = ureq::Agent::new_with_config(settings.build());
    let mut response = agent.get(url).call().map_err(no_answer)?;
    let status = response.status().as_u16();
    let mut page = Vec::new();
    let reader = response.body_mut().as_reader();
    std::io::Read::read_to_end(&mut std::io::Read::take(reader, LONGEST_PAGE), &mut page)
        .map_err(|error| NoAnswer::Broken(format!("the page broke off: {error}")))?;
    Ok(Answer {
        status,
        page,
        errors: String::new(),
    })
}

fn no_answer(error: ureq::Error) -> NoAnswer {
    use std::io::ErrorKind;
    match error {
        ureq::Error::Timeout(_) => NoAnswer::Broken("it did not answer in time".to_owned()),
        ureq::Error::Io(error)
            if matches!(
                error.kind(),
                ErrorKind::ConnectionRefused
                    | ErrorKind::ConnectionReset
                    | ErrorKind::UnexpectedEof
            ) =>
        {
            NoAnswer::Unreachable(format!("it cannot be reached: {error}"))
        }
        ureq::Error::ConnectionFailed => NoAnswer::Unreachable("it cannot be reached".to_owned()),
        other => NoAnswer::Broken(other.to_string()),
    }
}
