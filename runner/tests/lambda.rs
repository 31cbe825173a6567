//! Functions of real runtimes, warm ones, streams, URLs, pushes.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::bench::{get, request};
use crate::support::docker::docker;
use crate::support::{Bench, image, until};

const LIMIT: Duration = Duration::from_secs(60);

/// Makes a function of an image, and waits until it is active.
fn create(bench: &Bench, name: &str, image: &str, more: &str) {
    let line = format!(
        "lambda create-function --function-name {name} --package-type Image --code ImageUri={image} \
         --role arn:aws:iam::000000000000:role/any {more}"
    );
    bench.aws(&line);
    bench
        .command(&format!(
            "lambda wait function-active-v2 --function-name {name}"
        ))
        .succeeds();
}

/// Invokes it: what the command printed, and the answer.
fn invoke(bench: &Bench, name: &str, payload: &Value, more: &str) -> (Value, Value) {
    let file = bench.path(&format!("answer-{}", uuid()));
    let line = format!("lambda invoke --function-name {name} {more} --payload");
    let told = bench
        .command(&line)
        .arg(payload.to_string())
        .arg(&file)
        .succeeds();
    let answer = std::fs::read_to_string(&file).expect("an answer");
    let read = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
    (read(&told), read(&answer))
}

fn uuid() -> u64 {
    static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

#[test]
fn a_function_of_the_rust_runtime_answers_fails_and_times_out() {
    let bench = Bench::new();
    let name = bench.image("team/function:1");
    image::push_function(&name, "ENV VERSION=1");
    create(
        &bench,
        "rust",
        &name,
        "--timeout 2 --environment Variables={COLOUR=blue}",
    );

    let (told, answer) = invoke(&bench, "rust", &json!({"a": 1}), "");
    assert_eq!(told["StatusCode"], 200);
    assert_eq!(told["ExecutedVersion"], "$LATEST");
    assert_eq!(answer["event"], json!({"a": 1}));
    assert_eq!(answer["function"], "rust");
    assert_eq!(
        answer["arn"],
        "arn:aws:lambda:us-east-1:000000000000:function:rust"
    );

    let (told, answer) = invoke(&bench, "rust", &json!({"do": "fail"}), "");
    assert_eq!(told["FunctionError"], "Unhandled");
    assert_eq!(answer["errorMessage"], "it was told to fail");
    let (_, answer) = invoke(
        &bench,
        "rust",
        &json!({"do": "sleep", "milliseconds": 5000}),
        "",
    );
    assert!(
        answer["errorMessage"]
            .as_str()
            .is_some_and(|text| text.ends_with("Task timed out after 2.00 seconds")),
        "{answer}"
    );
    let (_, answer) = invoke(&bench, "rust", &json!({"do": "exit"}), "");
    assert_eq!(answer["errorType"], "Runtime.ExitError", "{answer}");
    let (told, _) = invoke(
        &bench,
        "rust",
        &json!({"do": "print", "text": "seen in the log"}),
        "--log-type Tail",
    );
    let log = told["LogResult"].as_str().expect("a log");
    assert!(decoded(log).contains("seen in the log"));
    // The Runtime API of an instance answers nobody else.
    let instances = docker()
        .command(["ps", "-q", "--filter", &bench.label()])
        .succeeds();
    let format = "{{range .Config.Env}}{{println .}}{{end}}";
    let id = instances.lines().next().expect("an instance");
    let environment = docker()
        .command(["inspect", "--format", format, id])
        .succeeds();
    let api = environment
        .lines()
        .find_map(|line| line.strip_prefix("AWS_LAMBDA_RUNTIME_API="));
    let api = api.expect("an address");
    assert_eq!(get(api, "/2018-06-01/runtime/invocation/next"), None);

    // After all that it still answers.
    assert_eq!(invoke(&bench, "rust", &json!(7), "").1["event"], 7);
    let (told, _) = invoke(&bench, "rust", &json!({}), "--invocation-type DryRun");
    assert_eq!(told["StatusCode"], 204);
}

/// Decodes base64 without a library.
fn decoded(text: &str) -> String {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => u32::from(byte - b'A'),
        b'a'..=b'z' => u32::from(byte - b'a') + 26,
        b'0'..=b'9' => u32::from(byte - b'0') + 52,
        b'+' => 62,
        _ => 63,
    };
    let bytes: Vec<u8> = text.bytes().filter(|byte| *byte != b'=').collect();
    let groups = bytes.chunks(4).flat_map(|group| {
        let number = group
            .iter()
            .fold(0, |number, byte| number << 6 | value(*byte))
            << (6 * (4 - group.len()));
        number.to_be_bytes()[1..group.len()].to_vec()
    });
    String::from_utf8_lossy(&groups.collect::<Vec<_>>()).into_owned()
}

#[test]
fn a_function_of_the_python_runtime_answers() {
    let bench = Bench::new();
    let name = bench.image("team/python:1");
    let source = "def handler(event, context):\n    return {'doubled': event['number'] * 2, 'id': context.aws_request_id}\n";
    image::push_python(&name, source);
    create(&bench, "python", &name, "--memory-size 256 --timeout 10");
    let (_, answer) = invoke(&bench, "python", &json!({"number": 21}), "");
    assert_eq!(answer["doubled"], 42, "{answer}");
    let (told, answer) = invoke(&bench, "python", &json!({}), "");
    assert_eq!(told["FunctionError"], "Unhandled");
    assert_eq!(answer["errorType"], "KeyError");
}

#[test]
fn only_so_many_run_at_once() {
    let bench = Bench::new();
    let name = bench.image("team/function:1");
    image::push_function(&name, "");
    create(&bench, "busy", &name, "--timeout 20");
    bench.aws(
        "lambda put-function-concurrency --function-name busy --reserved-concurrent-executions 2",
    );
    let address = bench.base().trim_start_matches("http://").to_owned();
    let sleep = json!({"do": "sleep", "milliseconds": 6000}).to_string();
    let invocation = "/2015-03-31/functions/busy/invocations";
    std::thread::scope(|scope| {
        let both: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| request(&address, &address, "POST", invocation, &sleep)))
            .collect();
        // The command takes longer to begin than the two do.
        let said = bench
            .command("lambda invoke --function-name busy /dev/null")
            .fails();
        assert!(said.contains("TooManyRequestsException"), "{said}");
        for one in both {
            let answer = one.join().expect("it ends");
            assert_eq!(answer, Some((200, "\"slept\"".to_owned())));
        }
    });
    bench.aws("lambda delete-function-concurrency --function-name busy");
    assert_eq!(invoke(&bench, "busy", &json!(1), "").1["event"], 1);
}

#[test]
fn what_nobody_waits_for_is_tried_three_times() {
    let bench = Bench::with(&[("WHARF_RUNNER__LAMBDA__RETRY_AFTER", "50ms")]);
    let name = bench.image("team/function:1");
    image::push_function(&name, "");
    create(&bench, "later", &name, "");
    let (told, _) = invoke(
        &bench,
        "later",
        &json!({"do": "fail"}),
        "--invocation-type Event",
    );
    assert_eq!(told["StatusCode"], 202);
    until("the third attempt", LIMIT, || {
        let log = bench.runner_log();
        (log.matches("an invocation failed").count() == 3 && log.contains("is given up"))
            .then_some(())
    });
}

#[test]
fn a_push_changes_a_function_and_a_bad_one_does_not() {
    let bench = Bench::new();
    let name = bench.image("team/function:1");
    image::push_function(&name, "ENV VERSION=1");
    create(&bench, "live", &name, "--tags wharf:redeploy-on-push=true");
    let version = || invoke(&bench, "live", &json!(0), "").1["version"].clone();
    assert_eq!(version(), "1");
    image::push_function(&name, "ENV VERSION=2");
    until("the pushed version", LIMIT, || {
        (version() == "2").then_some(())
    });
    image::push(&name, &[], "ENTRYPOINT [\"/bin/false\"]");
    until("the refusal", LIMIT, || {
        let told = bench.aws("lambda get-function-configuration --function-name live");
        (told["LastUpdateStatus"] == "Failed").then_some(())
    });
    assert_eq!(version(), "2");
    image::push_function(&name, "ENV VERSION=3");
    until("the next version", LIMIT, || {
        (version() == "3").then_some(())
    });
    bench.aws(&format!(
        "lambda update-function-code --function-name live --image-uri {name}"
    ));
    bench
        .command("lambda wait function-updated-v2 --function-name live")
        .succeeds();
}

#[test]
fn a_url_leads_to_its_function_as_a_stream_too() {
    let bench = Bench::new();
    let name = bench.image("team/function:1");
    image::push_function(&name, "");
    create(&bench, "plain", &name, "");
    create(
        &bench,
        "stream",
        &name,
        "--environment Variables={STREAM=1}",
    );
    let host = |function: &str, mode: &str| {
        let line = format!(
            "lambda create-function-url-config --function-name {function} --auth-type NONE --invoke-mode {mode}"
        );
        let url = bench.aws(&line)["FunctionUrl"]
            .as_str()
            .expect("a URL")
            .to_owned();
        url.trim_start_matches("http://")
            .trim_end_matches('/')
            .to_owned()
    };
    let address = bench.base().trim_start_matches("http://");
    let plain = host("plain", "BUFFERED");
    let (status, body) =
        request(address, &plain, "POST", "/a/b?c=d&c=e", "hello").expect("an answer");
    let body: Value = serde_json::from_str(&body).expect("it is JSON");
    assert_eq!(status, 200);
    let event = &body["event"];
    assert_eq!(event["version"], "2.0");
    assert_eq!(event["rawPath"], "/a/b");
    assert_eq!(event["queryStringParameters"]["c"], "d,e");
    assert_eq!(event["requestContext"]["http"]["method"], "POST");
    assert_eq!(event["requestContext"]["http"]["sourceIp"], "127.0.0.1");
    assert_eq!(decoded(event["body"].as_str().expect("a body")), "hello");

    // Pieces come as the function sends them.
    let stream = host("stream", "RESPONSE_STREAM");
    let mut socket = TcpStream::connect(address).expect("it listens");
    write!(
        socket,
        "GET / HTTP/1.1\r\nhost: {stream}\r\nconnection: close\r\n\r\n"
    )
    .expect("it is sent");
    let begun = Instant::now();
    let (mut text, mut first) = (String::new(), None);
    let mut chunk = [0; 4096];
    while let Ok(length @ 1..) = socket.read(&mut chunk) {
        text.push_str(&String::from_utf8_lossy(&chunk[..length]));
        if text.contains("one ") && first.is_none() {
            first = Some(begun.elapsed());
        }
    }
    assert!(text.contains("three"), "{text}");
    let first = first.expect("there was a first piece");
    assert!(
        begun.elapsed() - first > Duration::from_millis(400),
        "it came at once: {first:?}"
    );
    let nowhere = request(address, "none.lambda-url.localhost", "GET", "/", "").expect("an answer");
    assert_eq!(nowhere.0, 404);
}

#[test]
fn an_extension_is_told_of_invocations_and_waited_for() {
    let bench = Bench::new();
    let name = bench.image("team/extended:1");
    // An extension in the shell: it registers, and counts its events.
    let extension = "#!/bin/sh
api=http://$AWS_LAMBDA_RUNTIME_API/2020-01-01/extension
id=$(wget -S -q -O - --header 'Lambda-Extension-Name: count' --post-data '{\"events\":[\"INVOKE\"]}' $api/register 2>&1 | grep -i lambda-extension-identifier | sed 's/.*: *//' | tr -d '\\r')
while wget -q -O - --header \"Lambda-Extension-Identifier: $id\" $api/event/next >>/tmp/events; do echo >>/tmp/events; echo told >/proc/1/fd/1; done
";
    image::push_function_with(&name, &[("opt/extensions/count", extension)], "");
    create(&bench, "extended", &name, "");
    for _ in 0..2 {
        assert_eq!(invoke(&bench, "extended", &json!(5), "").1["event"], 5);
    }
    let (told, _) = invoke(
        &bench,
        "extended",
        &json!({"do": "print", "text": "x"}),
        "--log-type Tail",
    );
    let log = decoded(told["LogResult"].as_str().expect("a log"));
    assert!(log.matches("told").count() >= 2, "{log}");
}

#[test]
fn a_warm_invocation_costs_little() {
    let bench = Bench::new();
    let name = bench.image("team/function:1");
    image::push_function(&name, "");
    create(&bench, "warm", &name, "");
    let address = bench.base().trim_start_matches("http://");
    let mut socket = TcpStream::connect(address).expect("it listens");
    socket.set_nodelay(true).expect("it is set");
    let text = format!(
        "POST /2015-03-31/functions/warm/invocations HTTP/1.1\r\nhost: {address}\r\ncontent-length: 1\r\n\r\n1"
    );
    let mut times = Vec::new();
    let mut chunk = [0; 4096];
    for _ in 0..1000 {
        let begun = Instant::now();
        socket.write_all(text.as_bytes()).expect("it is sent");
        let length = socket.read(&mut chunk).expect("an answer");
        assert!(
            chunk[..length].starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&chunk[..length])
        );
        times.push(begun.elapsed());
    }
    times.sort();
    let (p50, p99) = (times[500], times[990]);
    println!(
        "warm invocation: p50 {} us, p99 {} us",
        p50.as_micros(),
        p99.as_micros()
    );
    assert!(p50 < Duration::from_millis(20), "{p50:?}");
}
