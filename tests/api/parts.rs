//! Parts of blobs.

use super::{content, push_blob, start};

#[test]
fn several_parts_come_in_one_answer() {
    let (_registry, client) = start();
    let bytes = content(1_000_000);
    let path = format!("/v2/parts/blobs/{}", push_blob(&client, "parts", &bytes));
    let wanted = [(0, 9), (500_000, 899_999), (999_990, 999_999)];
    let list: Vec<String> = wanted
        .iter()
        .map(|(first, last)| format!("{first}-{last}"))
        .collect();
    let range = format!("bytes={}", list.join(", "));
    let answer = client.send("GET", &path, &[("Range", &range)], b"");
    assert_eq!(answer.status, 206);
    let kind = answer.header("content-type").expect("a type").to_owned();
    let boundary = kind
        .strip_prefix("multipart/byteranges; boundary=")
        .expect("a boundary");

    let mut rest = answer.body.as_slice();
    for (first, last) in wanted {
        let head = format!(
            "\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\n\
             Content-Range: bytes {first}-{last}/1000000\r\n\r\n"
        );
        rest = rest
            .strip_prefix(head.as_bytes())
            .expect("the head of a part");
        let (part, behind) = rest.split_at(last - first + 1);
        assert!(part == &bytes[first..=last], "{first}-{last} differ");
        rest = behind;
    }
    assert_eq!(rest, format!("\r\n--{boundary}--\r\n").as_bytes());
}

#[test]
fn a_part_says_where_it_lies() {
    let (_registry, client) = start();
    let bytes = content(1000);
    let digest = push_blob(&client, "parts", &bytes);
    let path = format!("/v2/parts/blobs/{digest}");
    let part = client.send("GET", &path, &[("Range", "bytes=-100")], b"");
    assert_eq!(
        (part.status, part.header("content-range")),
        (206, Some("bytes 900-999/1000"))
    );
    assert_eq!(part.body, bytes[900..]);
    for range in ["bytes=1000-", "bytes=500-0", "bytes=x"] {
        let none = client.send("GET", &path, &[("Range", range)], b"");
        assert_eq!(
            (none.status, none.header("content-range")),
            (416, Some("bytes */1000"))
        );
        assert_eq!(none.code(), "RANGE_INVALID");
    }
    let other = [("Range", "bytes=0-1"), ("If-Range", "\"another\"")];
    assert_eq!(client.send("GET", &path, &other, b"").status, 200);
    let same = format!("\"{digest}\"");
    let same = [("Range", "bytes=0-1"), ("If-Range", same.as_str())];
    assert_eq!(client.send("GET", &path, &same, b"").status, 206);
}
