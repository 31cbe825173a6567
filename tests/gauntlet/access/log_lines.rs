//! Row 32: line ends, escapes of terminals and bytes that are no text, wherever a caller can leave them.

use std::time::Duration;

use serde_json::{Value, json};

use super::people::{BEHIND_A_PROXY, House, basic, elsewhere, raw};
use super::row;
use crate::support::wait;

/// What somebody could want to see in a log: lines of their own, a cleared screen, a colour, a title,
/// a line that is overwritten, and text that isn't any.
const ODD: [&[u8]; 17] = [
    b"\r\n",
    b"\n{\"level\":\"INFO\",\"message\":\"forged\"}",
    b"\r",
    b"\0",
    b"\x1b[2J\x1b[31mred",
    b"\x1b]0;title\x07",
    b"\x08\x08\x08",
    b"\x7f",
    b"\xc2\x9b31m",
    b"\xc2\x85",
    b"\xe2\x80\xa8",
    b"\xe2\x80\xae\xe2\x81\xa6",
    b"\xff\xfe",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\",\"admin\":\"true",
    b"\\u000a\\",
];

#[test]
fn whatever_a_caller_sends_is_one_line_of_the_log() {
    let mut sent = 0;
    for format in ["json", "text"] {
        sent += lines(format);
    }
    row(
        32,
        "",
        &format!("{sent} requests with odd bytes, one line each, none of it raw"),
    );
}

fn lines(format: &str) -> usize {
    let variables = [BEHIND_A_PROXY, ("WHARF__LOG__FORMAT", format)];
    let mut house = House::new(&variables);
    let address = house.client.address().to_owned();
    let mut marks = Vec::new();
    for (number, odd) in ODD.iter().enumerate() {
        let encoded: String = odd.iter().map(|byte| format!("%{byte:02X}")).collect();
        let text = String::from_utf8_lossy(odd).into_owned();
        let mut requests: Vec<(String, Vec<u8>)> = Vec::new();
        for (way, path) in [
            ("name", format!("/v2/MARK{encoded}x/manifests/1")),
            ("tag", format!("/v2/team/app/manifests/MARK{encoded}")),
            ("user", format!("/admin/v1/users/MARK{encoded}")),
            (
                "query",
                format!("/token?account=MARK{encoded}&service={encoded}&scope={encoded}"),
            ),
            ("nothing", format!("/MARK{encoded}")),
        ] {
            let mark = format!("mark-{way}-{number}-");
            let path = path.replace("MARK", &mark);
            let line = format!(
                "GET {path} HTTP/1.1\r\nHost: x\r\nUser-Agent: {mark}\r\nConnection: close\r\n\r\n"
            );
            requests.push((mark, line.into_bytes()));
        }
        for name in [
            "User-Agent",
            "X-Request-Id",
            "Referer",
            "Host",
            "X-Forwarded-For",
            "Authorization",
            "Cookie",
            "X-Amz-Target",
            "Traceparent",
            "Accept",
            "Content-Type",
            "Range",
        ] {
            let mark = format!("mark-{}-{number}-", name.to_lowercase());
            let mut bytes = format!("GET /v2/?{mark} HTTP/1.1\r\nX-Of: {mark}\r\n").into_bytes();
            if name != "Host" {
                bytes.extend(b"Host: x\r\n");
            }
            if name != "User-Agent" {
                bytes.extend(format!("User-Agent: {mark}\r\n").bytes());
            }
            bytes.extend(format!("{name}: {mark}").bytes());
            bytes.extend(*odd);
            bytes.extend(b"\r\nConnection: close\r\n\r\n");
            requests.push((mark, bytes));
        }
        // A name that a login shows, which base64 brings in whole.
        let mark = format!("mark-login-{number}-");
        let shown = basic(&format!("{mark}{text}"), &text);
        let from = elsewhere();
        let login = format!(
            "GET /v2/ HTTP/1.1\r\nHost: x\r\nUser-Agent: {mark}\r\nX-Forwarded-For: {from}\r\nAuthorization: {shown}\r\nConnection: close\r\n\r\n"
        );
        requests.push((mark, login.into_bytes()));
        for (mark, bytes) in requests {
            let answer = raw(&address, &bytes);
            assert!(answer.status < 500, "{mark}: {answer:?}");
            // What is no HTTP is refused before there is a request to log.
            let is_request = answer.headers.contains_key("x-request-id");
            marks.push((mark, is_request));
        }
        session(&house, &text);
        let method = String::from_utf8_lossy(odd).replace(char::is_control, "~");
        let answer = raw(
            &address,
            format!("M{method}ETHOD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes(),
        );
        assert!(answer.status < 500, "{answer:?}");
    }
    let last = house
        .client
        .send("GET", "/v2/", &[("User-Agent", "the-last-one")], b"");
    assert_eq!(last.status, 401);
    let log = wait::until("the log", Duration::from_secs(10), || {
        let log = house.registry.log();
        (log.contains("the-last-one") && log.ends_with('\n')).then_some(log)
    });
    for line in log.lines() {
        let is_raw = |letter: char| {
            letter.is_control() || "\u{2028}\u{2029}\u{202e}\u{2066}".contains(letter)
        };
        assert!(!line.chars().any(is_raw), "{line:?}");
        assert!(
            !line.contains(char::REPLACEMENT_CHARACTER) || format == "json" || line.len() < 4096,
            "{line:?}"
        );
        if format == "json" {
            let read: Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
            assert!(
                read["timestamp"].is_string() && read["message"] != "forged",
                "{line}"
            );
            assert_eq!(read["admin"], Value::Null, "{line}");
        }
    }
    for (mark, is_request) in &marks {
        let found = log.lines().filter(|line| line.contains(&**mark)).count();
        let wanted = usize::from(*is_request);
        assert_eq!(found, wanted, "{format}: {mark}: {log:.2000}");
    }
    told_elsewhere(&house);
    marks.len()
}

/// A body that names somebody.
fn session(house: &House, text: &str) {
    let body = json!({"username": format!("body{text}"), "password": text}).to_string();
    let headers = [
        ("Content-Type", "application/json"),
        ("X-Forwarded-For", &*elsewhere()),
    ];
    let answer = house
        .client
        .send("POST", "/session", &headers, body.as_bytes());
    assert!((400..500).contains(&answer.status), "{answer:?}");
}

/// The same texts where an administrator reads them: the audit log, lists, and the measures.
fn told_elsewhere(house: &House) {
    for (number, odd) in ODD.iter().enumerate() {
        let text = String::from_utf8_lossy(odd).into_owned();
        let body = json!({"name": format!("robot{number}"), "description": format!("odd{text}")});
        let made = house.manage("POST", "/robots", &body);
        assert!([201, 400].contains(&made.status), "{made:?}");
    }
    for words in [
        &["audit", "--limit", "1000"][..],
        &["robot", "list"],
        &["events", "tail"],
    ] {
        let told = house.registry.administer(words.iter().copied()).succeeds();
        let is_raw = |letter: char| letter.is_control() && letter != '\n' && letter != '\t';
        assert!(!told.chars().any(is_raw), "{words:?}: {told:?}");
        assert!(
            !told.lines().any(|line| line.starts_with("{\"level\"")),
            "{words:?}: {told}"
        );
    }
    let metrics = house.client.get("/metrics");
    let metrics = String::from_utf8(metrics.body).expect("a text");
    assert!(
        !metrics.contains("mark-") && !metrics.contains("ETHOD"),
        "{metrics}"
    );
}
