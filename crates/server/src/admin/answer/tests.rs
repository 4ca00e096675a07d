//! The table of questions, good and bad.

use hyper::Request;

use super::*;

fn parts(method: &str, target: &str, fields: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(target).header("host", "localhost:9999");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn ask(method: &str, target: &str, fields: &[(&str, &str)], body: &str) -> Result<Question, Refusal> {
    let access = Access::new("127.0.0.1:9999".parse().unwrap(), None).unwrap();
    question(&parts(method, target, fields), body.as_bytes(), &access)
}

fn get(target: &str) -> Result<Question, Refusal> {
    ask("GET", target, &[], "")
}

fn post(target: &str, body: &str) -> Result<Question, Refusal> {
    ask("POST", target, &[("X-Gannet", "1")], body)
}

fn close(code: u16, reason: &str) -> Question {
    Question::Close { id: "0-1-2".to_owned(), code: CloseCode::new(code), reason: reason.to_owned() }
}

/// Asserts a refusal with `status` whose text holds all of `words`.
fn assert_refused(asked: Result<Question, Refusal>, status: u16, words: &[&str]) {
    let refusal = asked.unwrap_err();
    assert_eq!(refusal.status.as_u16(), status, "{refusal:?}");
    assert!(words.iter().all(|word| refusal.text.contains(word)), "{refusal:?}");
}

#[test]
fn the_five_questions_are_understood() {
    assert_eq!(get("/healthz"), Ok(Question::Health));
    assert_eq!(get("/readyz?x"), Ok(Question::Readiness));
    assert_eq!(get("/metrics"), Ok(Question::Metrics));
    assert_eq!(ask("HEAD", "/metrics", &[], ""), Ok(Question::Metrics));
    assert_eq!(get("/connections"), Ok(Question::Connections { sort: Sort::Buffered, limit: 50 }));
    assert_eq!(
        get("/connections?sort=messages&limit=1000"),
        Ok(Question::Connections { sort: Sort::Messages, limit: 1000 })
    );
    assert_eq!(post("/connections/0-1-2/close", ""), Ok(close(1001, "")));
}

#[test]
fn values_out_of_range_are_refused_with_the_range() {
    for limit in ["0", "1001", "-1", "x", "", "99999999999999999999"] {
        assert_refused(get(&format!("/connections?limit={limit}")), 400, &["limit", limit, "1 to 1000"]);
    }
    assert_refused(get("/connections?sort=name"), 400, &["\"name\"", "buffered, age and messages"]);
    assert_refused(get("/connections?order=age"), 400, &["\"order\"", "sort and limit"]);
    assert_refused(get("/connections?%0d%1b=1"), 400, &["\\r\\u{1b}"]);
}

#[test]
fn code_and_reason_are_in_the_query_or_in_the_body_which_has_precedence() {
    let path = "/connections/0-1-2/close";
    assert_eq!(post(&format!("{path}?code=4000&reason=by+%68and"), ""), Ok(close(4000, "by hand")));
    assert_eq!(post(path, r#"{"code":1012,"reason":"again"}"#), Ok(close(1012, "again")));
    assert_eq!(post(&format!("{path}?code=4000&reason=x"), r#"{"code":1008}"#), Ok(close(1008, "x")));
    let longest = "x".repeat(123);
    assert_eq!(post(&format!("{path}?reason={longest}"), ""), Ok(close(1001, &longest)));
}

#[test]
fn a_close_that_cannot_be_sent_is_refused() {
    let path = "/connections/0-1-2/close";
    for code in ["1005", "1006", "1015", "999", "5000", "65536", "x"] {
        assert_refused(post(&format!("{path}?code={code}"), ""), 400, &[code, "3000 to 4999"]);
    }
    assert_refused(post(&format!("{path}?reason={}", "x".repeat(124)), ""), 400, &["124 bytes", "123"]);
    assert_refused(post(path, "{\"code\":\"1000\"}"), 400, &["the body"]);
    assert_refused(post(path, "{\"cod\":1000}"), 400, &["cod", "reason"]);
    assert_refused(post(path, "1000"), 400, &["the body"]);
    assert_refused(post(&format!("{path}?why=x"), ""), 400, &["\"why\"", "code and reason"]);
}

#[test]
fn unknown_paths_are_404_and_wrong_methods_405_with_the_right_ones() {
    for path in
        ["/", "/healthz/", "/metric", "/connections/", "/connections//close", "/connections/1/2/close"]
    {
        assert_refused(get(path), 404, &["/healthz", "/connections/ID/close"]);
    }
    for (method, target, allowed) in [
        ("POST", "/healthz", "GET, HEAD"),
        ("DELETE", "/readyz", "GET, HEAD"),
        ("POST", "/metrics", "GET, HEAD"),
        ("PUT", "/connections", "GET, HEAD"),
        ("OPTIONS", "/connections/0-1-2/close", "POST"),
        ("GET", "/connections/0-1-2/close", "POST"),
    ] {
        let refusal = ask(method, target, &[("x-gannet", "1")], "").unwrap_err();
        assert_eq!(refusal.status.as_u16(), 405, "{method} {target}");
        assert_eq!(Answer::from(refusal).headers()["allow"], allowed);
    }
}

#[test]
fn a_page_can_neither_post_across_sites_nor_ask_under_a_name_of_its_own() {
    let path = "/connections/0-1-2/close";
    assert_refused(ask("POST", path, &[], ""), 403, &["X-Gannet"]);
    assert_refused(ask("POST", path, &[("content-type", "text/plain")], "{}"), 403, &["X-Gannet"]);
    assert_eq!(ask("POST", path, &[("content-type", "application/json")], "{}"), Ok(close(1001, "")));
    let access = Access::new("127.0.0.1:9999".parse().unwrap(), None).unwrap();
    let asked = |target: &str| {
        let (parts, ()) =
            Request::builder().uri(target).header("host", "evil.example").body(()).unwrap().into_parts();
        question(&parts, b"", &access)
    };
    assert_refused(asked("/connections"), 403, &["evil.example", "127.0.0.1:9999"]);
    assert_refused(asked("/metrics"), 403, &["evil.example"]);
    assert_eq!(asked("/healthz"), Ok(Question::Health));
}

#[test]
fn an_answer_is_neither_kept_nor_taken_for_another_type() {
    let refused = Answer::from(get("/x").unwrap_err());
    assert_eq!(refused.headers()["cache-control"], "no-store");
    assert_eq!(refused.headers()["x-content-type-options"], "nosniff");
    assert_eq!(refused.headers()["content-type"], "text/plain; charset=utf-8");
    assert!(refused.body().ends_with("close\n"));
}
