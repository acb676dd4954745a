//! As much of HTTP/1.1 as the mock models need: one request with a JSON body, one whole answer,
//! and the connection is closed.

use super::DEADLINE;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read as _, Write};
use std::net::TcpStream;

/// Longest line of a request that is read, in bytes.
const LINE_BYTES: u64 = 64 * 1024;

/// A request.
#[derive(Debug)]
pub(crate) struct Request {
    /// `GET`, `POST` …
    pub(crate) method: String,
    /// The path without what follows a question mark.
    pub(crate) path: String,
    /// The body; null where it is not JSON.
    pub(crate) body: Value,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Response {
    status: &'static str,
    content_type: &'static str,
    body: Vec<u8>,
}

impl Response {
    /// Returns an answer of one JSON document.
    pub(crate) fn json(value: &Value) -> Self {
        Self::with("200 OK", "application/json", value.to_string())
    }

    /// Returns a stream of events: each the name, where the API names them, and the data.
    pub(crate) fn events(events: &[(Option<&str>, String)]) -> Self {
        let lines = events.iter().map(|(name, data)| match name {
            Some(name) => format!("event: {name}\ndata: {data}\n\n"),
            None => format!("data: {data}\n\n"),
        });
        Self::with("200 OK", "text/event-stream", lines.collect::<String>())
    }

    /// Returns an answer without a body.
    pub(crate) fn empty() -> Self {
        Self::with("200 OK", "text/plain", String::new())
    }

    /// Returns what a server answers that has no such thing; `error` is in the API's own form.
    pub(crate) fn not_found(error: &Value) -> Self {
        Self::with("404 Not Found", "application/json", error.to_string())
    }

    fn with(status: &'static str, content_type: &'static str, body: String) -> Self {
        Self {
            status,
            content_type,
            body: body.into_bytes(),
        }
    }
}

/// Serves the one request of a connection.
pub(crate) fn serve(
    stream: TcpStream,
    answer: impl FnOnce(&Request) -> Response,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(DEADLINE))?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    let line = read_line(&mut reader)?;
    let mut words = line.split_whitespace();
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default().to_owned();
    let body = read_body(&mut reader)?;
    let response = answer(&Request {
        method,
        path,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    });
    let head = format!(
        "HTTP/1.1 {}\r\ncontent-type: {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        response.status,
        response.content_type,
        response.body.len()
    );
    writer.write_all(head.as_bytes())?;
    writer.write_all(&response.body)?;
    writer.flush()
}

/// Reads the headers and the body: of a known length, in chunks, or none.
fn read_body(reader: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let (mut length, mut chunked) = (0_usize, false);
    loop {
        let line = read_line(reader)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap_or(0),
            "transfer-encoding" => chunked = value.contains("chunked"),
            _ => {}
        }
    }
    let mut body = Vec::new();
    if !chunked {
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
        return Ok(body);
    }
    loop {
        let size = read_line(reader)?;
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        let mut chunk = vec![0; size + 2]; // with its line end
        reader.read_exact(&mut chunk)?;
        if size == 0 {
            return Ok(body);
        }
        body.extend_from_slice(&chunk[..size]);
    }
}

fn read_line(reader: &mut impl BufRead) -> std::io::Result<String> {
    let mut line = String::new();
    reader.take(LINE_BYTES).read_line(&mut line)?;
    Ok(line)
}
