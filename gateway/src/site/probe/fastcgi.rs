//! One request to a FastCGI server (FastCGI specification 1.0), for a script of a release that is
//! not switched to yet. What visitors get is not touched; compiled code is warm when they come.

use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use fastcgi_client::response::Content;
use fastcgi_client::{Client, ClientError, Params, Request, io};
use futures_util::stream::Stream;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::{Answer, LONGEST_PAGE, NoAnswer};

/// A script of a release.
#[derive(Debug)]
pub(in crate::site) struct Script<'a> {
    /// The folder of the release's code.
    pub code: &'a Path,
    /// The script's path in it, perhaps with `?` and a query.
    pub name: &'a str,
    /// The address that visitors use, if it is known.
    pub url: Option<&'a str>,
}

/// The bytes of messages to the error log that are kept.
const LONGEST_ERRORS: usize = 1 << 16;

pub(super) fn run(
    address: &str,
    script: &Script<'_>,
    timeout: Duration,
) -> Result<Answer, NoAnswer> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| NoAnswer::Broken(error.to_string()))?;
    runtime.block_on(async {
        match tokio::time::timeout(timeout, connect_and_ask(address, script)).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(NoAnswer::Broken("it did not answer in time".to_owned())),
        }
    })
}

async fn connect_and_ask(address: &str, script: &Script<'_>) -> Result<Answer, NoAnswer> {
    let unreachable =
        |error: io::Error| NoAnswer::Unreachable(format!("{address} cannot be reached: {error}"));
    match address.strip_prefix("unix:") {
        Some(path) => {
            ask(
                UnixStream::connect(path).await.map_err(unreachable)?,
                script,
            )
            .await
        }
        None => {
            ask(
                TcpStream::connect(address).await.map_err(unreachable)?,
                script,
            )
            .await
        }
    }
}

async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    script: &Script<'_>,
) -> Result<Answer, NoAnswer> {
    let broken =
        |error: ClientError| NoAnswer::Broken(format!("it answered in no known way: {error}"));
    let request = Request::new(parameters(script), io::empty());
    let mut answer = Client::new_tokio(stream)
        .execute_once_stream(request)
        .await
        .map_err(broken)?;
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    while output.len() < usize::try_from(LONGEST_PAGE).unwrap_or(usize::MAX) {
        let next = std::future::poll_fn(|context| Pin::new(&mut answer).poll_next(context)).await;
        match next {
            None => break,
            Some(Ok(Content::Stdout(part))) => output.extend_from_slice(&part),
            Some(Ok(Content::Stderr(part))) => {
                let room = LONGEST_ERRORS.saturating_sub(errors.len());
                errors.extend(part.iter().copied().take(room));
            }
            Some(Err(error)) => return Err(broken(error)),
        }
    }
    let (status, page) = split(&output);
    Ok(Answer {
        status,
        page: page.to_vec(),
        errors: String::from_utf8_lossy(&errors).into_owned(),
    })
}

fn parameters<'a>(script: &Script<'a>) -> Params<'a> {
    let (name, query) = script.name.split_once('?').unwrap_or((script.name, ""));
    let name = name.trim_start_matches('/');
    let file = script.code.join(name);
    let (_, base) = name.rsplit_once('/').unwrap_or(("", name));
    let root = file.parent().unwrap_or(script.code).display().to_string();
    let url = script.url.unwrap_or("http://localhost");
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let host = rest.split('/').next().unwrap_or(rest).to_owned();
    let address = if query.is_empty() {
        format!("/{base}")
    } else {
        format!("/{base}?{query}")
    };
    let bare_host = host
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
        .map_or(host.as_str(), |(host, _)| host)
        .to_owned();
    let parameters = Params::default()
        .gateway_interface("CGI/1.1")
        .server_software("funicular")
        .server_protocol("HTTP/1.1")
        .request_method("GET")
        .script_filename(file.display().to_string())
        .script_name(format!("/{base}"))
        .document_uri(format!("/{base}"))
        .document_root(root)
        .query_string(query)
        .request_uri(address)
        .remote_addr("127.0.0.1")
        .remote_port(0)
        .server_addr("127.0.0.1")
        .server_port(if scheme == "https" { 443 } else { 80 })
        .server_name(bare_host)
        .content_type("")
        .content_length(0)
        .custom("HTTP_HOST", host)
        .custom("HTTP_USER_AGENT", "funicular (release check)")
        .custom("FUNICULAR_PREFLIGHT", "1");
    if scheme == "https" {
        parameters.custom("HTTPS", "on")
    } else {
        parameters
    }
}

/// Splits a CGI response (RFC 3875 §6) into its status, 200 unless it says another, and its body.
fn split(output: &[u8]) -> (u16, &[u8]) {
    let mut rest = output;
    let mut status = 200;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, after) = rest.split_at(end);
        rest = after.strip_prefix(b"\n").unwrap_or(after);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return (status, rest);
        }
        let line = String::from_utf8_lossy(line);
        if let Some((field, value)) = line.split_once(':')
            && field.eq_ignore_ascii_case("status")
        {
            let number = value
                .split_whitespace()
                .next()
                .and_then(|word| word.parse().ok());
            status = number.unwrap_or(status);
        }
    }
    // No header at all: nothing that a web server would pass on.
    (502, output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_split_as_cgi_says() {
        for (output, status, page) in [
            ("Content-type: text/html\r\n\r\nok", 200, "ok"),
            ("Status: 500 Internal Server Error\r\n\r\n", 500, ""),
            ("X: y\nSTATUS:404\n\na\n\nb", 404, "a\n\nb"),
            ("Status: x\r\n\r\np", 200, "p"),
        ] {
            assert_eq!(
                split(output.as_bytes()),
                (status, page.as_bytes()),
                "{output:?}"
            );
        }
        assert_eq!(split(b"no header").0, 502);
    }

    #[test]
    fn a_script_is_asked_for_as_a_web_server_would() {
        let script = Script {
            code: Path::new("/g/7/code"),
            name: "/web/index.php?q=a",
            url: Some("https://[::1]:8443/sub"),
        };
        let parameters = parameters(&script);
        for (name, value) in [
            ("SCRIPT_FILENAME", "/g/7/code/web/index.php"),
            ("DOCUMENT_ROOT", "/g/7/code/web"),
            ("SCRIPT_NAME", "/index.php"),
            ("REQUEST_URI", "/index.php?q=a"),
            ("QUERY_STRING", "q=a"),
            ("HTTP_HOST", "[::1]:8443"),
            ("SERVER_NAME", "[::1]"),
            ("HTTPS", "on"),
        ] {
            assert_eq!(parameters[name], value, "{name}");
        }
    }
}
