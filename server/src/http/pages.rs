//! Fixed answers: health checks, embedded pages, paths that nothing serves.

use axum::body::Body;
use axum::extract::Path;
use axum::http::{Response, StatusCode, Uri, header};

use super::long_targets::TARGET_BYTES_MAX;

const PLAY_PAGE: &str = include_str!("../pages/play.html");
const DASHBOARD_PAGE: &str = include_str!("../pages/dashboard.html");
const KAFKA_PAGE: &str = include_str!("../pages/kafka.html");
/// Two places for cards, which its script fills.
const CARDS_PAGE: &str = include_str!("../pages/cards.html");
const DEMO_PAGE: &str = include_str!("../pages/demo.html");

const CSS: &str = "text/css; charset=UTF-8";
const JAVASCRIPT: &str = "text/javascript; charset=UTF-8";

/// Style sheets and modules of the pages, below `/assets/`.
const ASSETS: &[(&str, &str, &str)] = &[
    ("house.css", CSS, include_str!("../pages/house.css")),
    ("house.js", JAVASCRIPT, include_str!("../pages/house.js")),
    ("play.css", CSS, include_str!("../pages/play.css")),
    ("play.js", JAVASCRIPT, include_str!("../pages/play.js")),
    ("dashboard.css", CSS, include_str!("../pages/dashboard.css")),
    ("dashboard.js", JAVASCRIPT, include_str!("../pages/dashboard.js")),
    ("kafka.css", CSS, include_str!("../pages/kafka.css")),
    ("kafka.js", JAVASCRIPT, include_str!("../pages/kafka.js")),
    ("merges.js", JAVASCRIPT, include_str!("../pages/merges.js")),
    ("binary.js", JAVASCRIPT, include_str!("../pages/binary.js")),
];

/// A page whose style and code are its own files.
const STRICT: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                      img-src data: blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
/// The demo's page has both inline.
const INLINE: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                      connect-src 'self'; img-src data:; frame-ancestors 'none'";

pub async fn ping() -> Response<Body> {
    ok()
}

pub fn ok() -> Response<Body> {
    respond(StatusCode::OK, "text/html; charset=UTF-8", "Ok.\n".into())
}

/// What browsers ask before they send a query from another origin: as ClickHouse ships it. The answer of the query
/// itself carries its header only if it asks for that (`add_http_cors_header`).
pub fn options() -> Response<Body> {
    let mut response = respond(StatusCode::NO_CONTENT, "text/plain; charset=UTF-8", String::new());
    for (name, value) in [
        ("access-control-allow-origin", "*"),
        (
            "access-control-allow-headers",
            "origin, x-requested-with, x-clickhouse-format, x-clickhouse-user, x-clickhouse-key, Authorization",
        ),
        ("access-control-allow-methods", "POST, GET, OPTIONS"),
        ("access-control-max-age", "86400"),
    ] {
        let value = header::HeaderValue::from_static(value);
        response.headers_mut().insert(header::HeaderName::from_static(name), value);
    }
    response
}

pub async fn play() -> Response<Body> {
    page(PLAY_PAGE, STRICT)
}

pub async fn dashboard() -> Response<Body> {
    page(DASHBOARD_PAGE, STRICT)
}

pub async fn kafka() -> Response<Body> {
    page(KAFKA_PAGE, STRICT)
}

pub async fn merges() -> Response<Body> {
    cards("Merges", "merges.js")
}

pub async fn binary() -> Response<Body> {
    cards("Binary", "binary.js")
}

/// ClickHouse profiles its allocator there.
pub async fn jemalloc() -> Response<Body> {
    let text = "There is no jemalloc here. What memory holds is in \
                system.asynchronous_metrics, system.processes and on /dashboard.\n";
    respond(StatusCode::NOT_FOUND, "text/plain; charset=UTF-8", text.into())
}

/// The request's URL is beyond what ClickHouse takes as well (`http_max_uri_size`).
pub fn target_too_long() -> Response<Body> {
    let text = format!(
        "The URL is longer than {TARGET_BYTES_MAX} bytes (http_max_uri_size). Send the query in the body of a POST, \
         its parameters as a multipart form.\n"
    );
    respond(StatusCode::URI_TOO_LONG, "text/plain; charset=UTF-8", text)
}

pub async fn demo() -> Response<Body> {
    page(DEMO_PAGE, INLINE)
}

pub async fn asset(Path(name): Path<String>) -> Response<Body> {
    match ASSETS.iter().find(|(asset, _, _)| *asset == name) {
        Some((_, content_type, text)) => respond(StatusCode::OK, content_type, text.to_string()),
        None => no_handler(&format!("/assets/{name}")),
    }
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

fn cards(title: &str, script: &str) -> Response<Body> {
    page(CARDS_PAGE.replace("{title}", title).replace("{script}", script), STRICT)
}

/// A page of our own: it may talk to this server only and be framed by nobody.
fn page(html: impl Into<String>, policy: &'static str) -> Response<Body> {
    let mut response = respond(StatusCode::OK, "text/html; charset=UTF-8", html.into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, header::HeaderValue::from_static(policy));
    response
}

pub(super) fn respond(
    status: StatusCode,
    content_type: &'static str,
    text: String,
) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    response
}
