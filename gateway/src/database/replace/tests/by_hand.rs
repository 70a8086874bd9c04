//! Values whose outcome is said by hand, and any bytes at all.

use proptest::prelude::*;
use proptest::sample::select;

use super::replacing;

/// Checks what becomes of a text with `example.com` to `dev.test`; unchanged where both are the same.
#[track_caller]
fn becomes(old: &str, new: &str) {
    let replaced = replacing(&[("example.com", "dev.test")]).apply(old.as_bytes());
    let text = replaced.map(|bytes| String::from_utf8(bytes).unwrap());
    assert_eq!(text.as_deref(), (old != new).then_some(new), "{old}");
}

#[test]
fn addresses_of_the_host_are_replaced_and_nothing_like_them() {
    becomes("https://example.com/a", "https://dev.test/a");
    becomes("http://EXAMPLE.com", "http://dev.test");
    becomes("//example.com?x", "//dev.test?x");
    becomes("See https://example.com. And", "See https://dev.test. And");
    becomes("https:\\/\\/example.com\\/a", "https:\\/\\/dev.test\\/a");
    becomes(
        "https%3A%2F%2Fexample.com%2Fa",
        "https%3A%2F%2Fdev.test%2Fa",
    );
    becomes(
        "https%253a%252f%252fexample.com",
        "https%253a%252f%252fdev.test",
    );
    becomes("example.com", "dev.test");
    for untouched in [
        "//example.com.au",
        "//myexample.com",
        "//www.example.com",
        "//example.com:8080/",
        "%2F%2Fexample.com%3A8080",
        "//user@example.com/",
        "//example.com@other.test/",
        "//example.com-a.test",
        "info@example.com",
        "we are example.com",
        "/example.com",
        " example.com",
        "",
    ] {
        becomes(untouched, untouched);
    }
}

#[test]
fn a_port_is_part_of_the_host() {
    let to = replacing(&[("live.test:8080", "dev.test"), ("live.test", "dev.test:81")]);
    let apply = |text: &str| {
        to.apply(text.as_bytes())
            .map(|new| String::from_utf8(new).unwrap())
    };
    assert_eq!(
        apply("//live.test:8080/ //live.test/").unwrap(),
        "//dev.test/ //dev.test:81/"
    );
    assert_eq!(
        apply("%2F%2Flive.test%3A8080%2F").unwrap(),
        "%2F%2Fdev.test%2F"
    );
    assert_eq!(
        apply("%2F%2Flive.test%2F").unwrap(),
        "%2F%2Fdev.test%3A81%2F"
    );
    assert_eq!(apply("//live.test:80809/ //live.test:82/"), None);
    assert_eq!(apply("live.test:8080").unwrap(), "dev.test");
}

#[test]
fn a_new_host_may_bring_its_scheme() {
    let to = replacing(&[("example.com", "http://dev.test:8080")]);
    let apply = |text: &str| String::from_utf8(to.apply(text.as_bytes()).unwrap()).unwrap();
    assert_eq!(apply("https://example.com/"), "http://dev.test:8080/");
    assert_eq!(apply("a //example.com/"), "a //dev.test:8080/");
    assert_eq!(apply("https:\\/\\/example.com"), "http:\\/\\/dev.test:8080");
    assert_eq!(
        apply("https%3A%2F%2Fexample.com"),
        "http%3A%2F%2Fdev.test%3A8080"
    );
    assert_eq!(apply("xhttps://example.com"), "xhttps://dev.test:8080");
    assert_eq!(
        apply("s:19:\"https://example.com\";"),
        "s:20:\"http://dev.test:8080\";"
    );
}

#[test]
fn pairs_are_replaced_at_once() {
    let to = replacing(&[
        ("a.test", "b.test"),
        ("b.test", "a.test"),
        ("c.a.test", "d.test"),
    ]);
    let new = to
        .apply(b"//a.test //b.test //c.a.test //b.a.test")
        .unwrap();
    assert_eq!(new, b"//b.test //a.test //d.test //b.a.test");
}

#[test]
fn what_cannot_be_a_host_is_refused() {
    for (old, new) in [
        ("", "a"),
        ("a", ""),
        ("http://a", "b"),
        ("a/b", "b"),
        ("a b", "b"),
        ("a:x", "b"),
        ("a:0", "b"),
        ("a.", "b"),
        ("a\"", "b"),
        ("a", "b\\"),
    ] {
        let pairs = [(old.to_owned(), new.to_owned())];
        assert!(
            crate::database::replace::Replacement::new(&pairs).is_err(),
            "{old} {new}"
        );
    }
    let twice = [
        ("a".to_owned(), "b".to_owned()),
        ("A".to_owned(), "c".to_owned()),
    ];
    assert!(crate::database::replace::Replacement::new(&twice).is_err());
    assert!(replacing(&[("a", "a")]).is_empty());
}

#[test]
fn lengths_are_right_and_names_stay() {
    becomes(
        "a:2:{s:20:\"http://example.com/x\";s:20:\"http://example.com/x\";i:0;s:11:\"example.com\";}",
        "a:2:{s:20:\"http://example.com/x\";s:17:\"http://dev.test/x\";i:0;s:8:\"dev.test\";}",
    );
    // In a string that is serialised itself, and in JSON in that.
    becomes(
        "a:1:{i:0;s:57:\"a:1:{i:0;s:39:\"{\"a\":\"https:\\/\\/example.com\",\"b\":\"x/y\"}\";}\";}",
        "a:1:{i:0;s:54:\"a:1:{i:0;s:36:\"{\"a\":\"https:\\/\\/dev.test\",\"b\":\"x/y\"}\";}\";}",
    );
    // Serialised in JSON, with the escapes as they were.
    becomes(
        r#"{"o":"s:21:\u0022http:\/\/example.com\/\u00e9\u0022;"}"#,
        r#"{"o":"s:18:\u0022http:\/\/dev.test\/\u00e9\u0022;"}"#,
    );
    // Bytes that are written as digits.
    becomes(
        "S:19:\"http:\\2f\\2fexample.com \";",
        "s:16:\"http://dev.test \";",
    );
    // The payload of a class of its own is not ours to count.
    becomes(
        "C:1:\"X\":13:{//example.com}",
        "C:1:\"X\":13:{//example.com}",
    );
    // Broken: text, of which whole parts are kept whole.
    becomes(
        "a:3:{i:0;s:13:\"//example.com\";i:1;s:99:\"//example.com\";",
        "a:3:{i:0;s:10:\"//dev.test\";i:1;s:99:\"//dev.test\";",
    );
    becomes(
        " a:1:{i:0;s:13:\"//example.com\";} ",
        " a:1:{i:0;s:10:\"//dev.test\";} ",
    );
    becomes("[{\"a\":\"//example.com\"]", "[{\"a\":\"//dev.test\"]");
    becomes(
        r#"{"//example.com":"\ud83d //example.com"}"#,
        r#"{"//dev.test":"\ud83d //dev.test"}"#,
    );
}

#[test]
fn what_is_deeper_than_anyone_nests_stays_readable() {
    let mut value = "//example.com".to_owned();
    for _ in 0..60 {
        value = format!("s:{}:\"{value}\";", value.len());
    }
    // Followed no further, so not replaced; and never with a wrong length.
    becomes(&value, &value);
    let deep = format!(
        "{}s:13:\"//example.com\";{}",
        "a:1:{i:0;".repeat(100_000),
        "}".repeat(100_000)
    );
    let replaced = replacing(&[("example.com", "dev.test")])
        .apply(deep.as_bytes())
        .unwrap();
    assert_eq!(replaced.len(), deep.len() - 3);
}

#[test]
fn hostile_values_cost_no_more_than_long_ones() {
    let to = replacing(&[("example.com", "dev.test")]);
    for part in [
        "a:9:{",
        "s:9",
        "a:1:{i:0;",
        "[",
        "{\"",
        "s:99999999999999999999:\"",
        "\\\\\\",
        "//",
        "s:1:\"s:1:\"",
    ] {
        let mut value = part.repeat(400_000 / part.len());
        value.push_str(" //example.com");
        let started = std::time::Instant::now();
        assert!(to.apply(value.as_bytes()).is_some());
        // A square of its length would take minutes.
        assert!(started.elapsed().as_secs() < 20, "{part}");
    }
}

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = select(vec![
        "//example.com",
        "example.com",
        "a:1:{",
        "}",
        "i:0;",
        "s:13:\"",
        "\";",
        "\"",
        "{\"a\":",
        "[",
        "]",
        "\\",
        "\\u00",
        "S:2:\"",
        "C:1:\"x\":3:{",
        "O:1:\"x\":1:{",
        "%2F%2F",
        ":",
        ":80",
        "s:",
        "é",
        "\0",
        "http:",
        ".",
        "-",
        "N;",
        "r:1;",
        "9",
        ",",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn anything_is_taken_and_replacing_twice_is_replacing_once(value in pieces()) {
        let to = replacing(&[("example.com", "dev.test")]);
        if let Some(new) = to.apply(&value) {
            prop_assert_ne!(&new, &value);
            prop_assert_eq!(to.apply(&new), None);
        }
    }

    #[test]
    fn any_bytes_are_taken(value in prop::collection::vec(any::<u8>(), 0..200)) {
        let to = replacing(&[("example.com", "dev.test")]);
        prop_assert_eq!(to.apply(&value), None);
    }
}
