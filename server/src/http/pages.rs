//! Fixed answers: health checks, embedded pages, paths that nothing serves.

use axum::body::Body;
use axum::http::{Response, StatusCode, Uri, header};

const PLAY_PAGE: &str = include_str!("../pages/play.html");
const DEMO_PAGE: &str = include_str!("../pages/demo.html");

pub async fn ping() -> Response<Body> {
    ok()
}

pub fn ok() -> Response<Body> {
    respond(StatusCode::OK, "text/html; charset=UTF-8", "Ok.\n".into())
}

pub fn options() -> Response<Body> {
    respond(StatusCode::NO_CONTENT, "text/plain; charset=UTF-8", String::new())
}

pub async fn play() -> Response<Body> {
    page(PLAY_PAGE)
}

pub async fn demo() -> Response<Body> {
    page(DEMO_PAGE)
}

pub async fn not_found(uri: Uri) -> Response<Body> {
    no_handler(uri.path())
}

pub fn no_handler(path: &str) -> Response<Body> {
    let path: String = path.chars().take(200).collect();
    let text = format!(
        "There is no handle {path}\n\nUse / or /ping for health checks.\nSend queries from your program with POST method or GET /?query=...\n\
         Or try /play for an interactive page.\n"
    );
    respond(StatusCode::NOT_FOUND, "text/plain; charset=UTF-8", text)
}

/// A page of our own: it may talk to this server only and be framed by nobody.
fn page(html: &'static str) -> Response<Body> {
    let mut response = respond(StatusCode::OK, "text/html; charset=UTF-8", html.to_string());
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        header::HeaderValue::from_static(
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
             connect-src 'self'; img-src data:; frame-ancestors 'none'",
        ),
    );
    response
}

fn respond(status: StatusCode, content_type: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    response
}
