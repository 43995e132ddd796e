//! The admin listener: its connections, and Pingora's side of them.

use std::net::TcpListener;
use std::sync::Arc;

use async_trait::async_trait;
use http::Response;
use log::warn;
use pingora::apps::ServerApp;
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use tokio::sync::watch;

use super::connection::Connection;
use crate::admin::Admin;
use crate::logging::Limited;

struct App {
    admin: Admin,
    shutting_down: watch::Receiver<bool>,
}

/// Serves until the process ends, also while requests drain.
pub(super) async fn serve(
    listener: TcpListener,
    admin: Admin,
    shutting_down: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let app = Arc::new(App {
        admin,
        shutting_down: shutting_down.clone(),
    });
    let warnings = Limited::new("admin connections that could not be accepted");
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                if warnings.admits() {
                    warn!("cannot accept admin connections: {error}");
                }
                tokio::time::sleep(super::accept::EXHAUSTED_PAUSE).await;
                continue;
            }
        };
        let app = Arc::clone(&app);
        let shutting_down = shutting_down.clone();
        tokio::spawn(async move {
            let Ok(stream) = stream.into_std() else { return };
            let connection = Connection {
                stream,
                peer,
                expects_header: false,
            };
            if let Ok(stream) = connection.into_stream().await {
                app.process_new(stream, &shutting_down).await;
            }
        });
    }
}

#[async_trait]
impl ServeHttp for App {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let head = session.req_header();
        let draining = *self.shutting_down.borrow();
        let answered = self
            .admin
            .answer(&head.method, head.uri.path(), &head.headers, draining);
        let mut response = answered.await;
        if head.method == http::Method::HEAD {
            response.body_mut().clear();
        }
        response
    }
}
