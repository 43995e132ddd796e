//! A backend that speaks HTTP/2 properly.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use bytes::Bytes;
use h2::server::{self, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{Response, StatusCode};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::watch;

use crate::http2::{fields, headers, runtime, within};
use crate::{BackendTls, Headers, Request};

/// An HTTP/2 server on a free port of 127.0.0.1, with a thread for each request.
pub struct Http2Backend {
    address: SocketAddr,
    is_encrypted: bool,
    shared: Arc<Shared>,
    /// `None` once it has been shut down.
    runtime: Option<Runtime>,
}

/// Handles a request.
type Handling = dyn Fn(&mut Call) -> Result<(), h2::Error> + Send + Sync;

struct Shared {
    tls: Option<BackendTls>,
    max_streams: Option<u32>,
    window: Option<u32>,
    handle: Box<Handling>,
    requests: Mutex<Vec<CallHead>>,
    connections: AtomicUsize,
    ended: AtomicUsize,
    /// How often the backend has been told to say goodbye.
    goodbyes: watch::Sender<u32>,
}

/// What an [`Http2Backend`] is to be like.
#[derive(Default)]
pub struct Http2Options {
    /// The TLS that it speaks.
    pub tls: Option<BackendTls>,
    /// The requests that it takes at once on a connection; without it any number.
    pub max_streams: Option<u32>,
    /// The bytes of a request's body that it takes before they have been read.
    pub window: Option<u32>,
}

/// The head of a request that came as a stream.
#[derive(Clone, Debug)]
pub struct CallHead {
    /// Method, path and fields.
    pub request: Request,
    /// `:scheme`
    pub scheme: String,
    /// `:authority`
    pub authority: String,
    /// The number of the connection, from 0.
    pub connection: usize,
}

/// A request and the answer to it.
pub struct Call {
    /// The head.
    pub head: CallHead,
    body: RecvStream,
    answer: State,
    runtime: Handle,
}

enum State {
    Silent(SendResponse<Bytes>),
    Sending(SendStream<Bytes>),
    Ended,
}

impl Http2Backend {
    /// Starts a backend without TLS that has each request handled by this function, which may take its time. The stream of
    /// one that is not answered is reset.
    pub fn new(handle: impl Fn(&mut Call) -> Result<(), h2::Error> + Send + Sync + 'static) -> Http2Backend {
        Http2Backend::with(Http2Options::default(), handle)
    }

    /// Starts a backend with options.
    pub fn with(
        options: Http2Options,
        handle: impl Fn(&mut Call) -> Result<(), h2::Error> + Send + Sync + 'static,
    ) -> Http2Backend {
        let runtime = runtime();
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let is_encrypted = options.tls.is_some();
        let shared = Arc::new(Shared {
            tls: options.tls,
            max_streams: options.max_streams,
            window: options.window,
            handle: Box::new(handle),
            requests: Mutex::default(),
            connections: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
            goodbyes: watch::Sender::new(0),
        });
        runtime.spawn(Arc::clone(&shared).accept(listener, runtime.handle().clone()));
        Http2Backend {
            address,
            is_encrypted,
            shared,
            runtime: Some(runtime),
        }
    }

    /// Starts a backend that reads every request to its end and answers with this text.
    pub fn named(name: &'static str) -> Http2Backend {
        Http2Backend::new(move |call| {
            call.body()?;
            call.answer(name)
        })
    }

    /// Host and port.
    pub fn label(&self) -> String {
        self.address.to_string()
    }

    /// The backend's URL for a configuration.
    pub fn url(&self) -> String {
        match self.is_encrypted {
            true => format!("https://{}", self.address),
            false => format!("http://{}", self.address),
        }
    }

    /// The heads of the requests so far.
    pub fn requests(&self) -> Vec<CallHead> {
        self.shared.requests.lock().clone()
    }

    /// The head of the only request so far.
    pub fn request(&self) -> CallHead {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "requests: {requests:#?}");
        requests.remove(0)
    }

    /// The number of connections accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// The number of these that have ended.
    pub fn ended(&self) -> usize {
        self.shared.ended.load(Ordering::SeqCst)
    }

    /// Takes no more requests on the present connections, and completes those under way.
    pub fn say_goodbye(&self) {
        self.shared.goodbyes.send_modify(|count| *count += 1);
    }
}

impl Drop for Http2Backend {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Requests may still be handled, which find the other side gone.
            runtime.shutdown_background();
        }
    }
}

impl Shared {
    async fn accept(self: Arc<Self>, listener: TcpListener, runtime: Handle) {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let connection = self.connections.fetch_add(1, Ordering::SeqCst);
            let shared = Arc::clone(&self);
            let for_calls = runtime.clone();
            runtime.spawn(async move {
                // An error means that the other side has ended the connection, which tests see there.
                let _ = match &shared.tls {
                    None => shared.serve(stream, connection, for_calls).await,
                    Some(tls) => match tls.acceptor().accept(stream).await {
                        Ok(stream) => shared.serve(stream, connection, for_calls).await,
                        Err(error) => Err(error),
                    },
                };
                shared.ended.fetch_add(1, Ordering::SeqCst);
            });
        }
    }

    async fn serve(
        self: &Arc<Self>,
        io: impl AsyncRead + AsyncWrite + Unpin,
        connection: usize,
        runtime: Handle,
    ) -> io::Result<()> {
        let mut builder = server::Builder::new();
        if let Some(max) = self.max_streams {
            builder.max_concurrent_streams(max);
        }
        if let Some(window) = self.window {
            builder.initial_window_size(window);
        }
        let mut goodbyes = self.goodbyes.subscribe();
        let mut serving = builder.handshake(io).await.map_err(io::Error::other)?;
        loop {
            let accepted = tokio::select! {
                accepted = serving.accept() => accepted,
                _ = goodbyes.changed() => {
                    serving.graceful_shutdown();
                    continue;
                }
            };
            let Some(accepted) = accepted else { return Ok(()) };
            let (request, respond) = accepted.map_err(io::Error::other)?;
            let call = Call::new(request, respond, connection, runtime.clone());
            self.requests.lock().push(call.head.clone());
            let shared = Arc::clone(self);
            thread::spawn(move || shared.handle(call));
        }
    }

    fn handle(&self, mut call: Call) {
        // An error means that the other side has ended the stream, which tests see there.
        let _ = (self.handle)(&mut call);
        if let State::Silent(respond) = &mut call.answer {
            respond.send_reset(Reason::INTERNAL_ERROR);
        }
    }
}

impl Call {
    fn new(
        request: http::Request<RecvStream>,
        respond: SendResponse<Bytes>,
        connection: usize,
        runtime: Handle,
    ) -> Call {
        let (parts, body) = request.into_parts();
        let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
        let mut request = Request::new(parts.method.as_str(), target);
        request.headers = headers(&parts.headers);
        Call {
            head: CallHead {
                request,
                scheme: parts.uri.scheme_str().unwrap_or_default().to_owned(),
                authority: parts
                    .uri
                    .authority()
                    .map_or_else(String::new, ToString::to_string),
                connection,
            },
            body,
            answer: State::Silent(respond),
            runtime,
        }
    }

    /// The path, with its query.
    pub fn target(&self) -> &str {
        &self.head.request.target
    }

    /// Whether the head was the whole request.
    pub fn is_complete(&self) -> bool {
        self.body.is_end_stream()
    }

    /// Waits for the next piece of the body; `None` at its end.
    pub fn read(&mut self) -> Result<Option<Bytes>, h2::Error> {
        let Call { runtime, body, .. } = self;
        runtime.block_on(within(async {
            let Some(piece) = body.data().await else {
                return Ok(None);
            };
            let piece = piece?;
            body.flow_control().release_capacity(piece.len())?;
            Ok(Some(piece))
        }))
    }

    /// Waits for the whole body.
    pub fn body(&mut self) -> Result<Vec<u8>, h2::Error> {
        let mut body = Vec::new();
        while let Some(piece) = self.read()? {
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    /// Waits for the trailers behind the body.
    pub fn trailers(&mut self) -> Result<Headers, h2::Error> {
        let Call { runtime, body, .. } = self;
        let trailers = runtime.block_on(within(body.trailers()))?;
        Ok(headers(&trailers.unwrap_or_default()))
    }

    /// Waits until the other side has ended the stream before its time, and returns the reason.
    pub fn wait_for_reset(&mut self) -> Result<Reason, h2::Error> {
        let Call { runtime, answer, .. } = self;
        runtime.block_on(within(poll_fn(|context| match answer {
            State::Silent(respond) => respond.poll_reset(context),
            State::Sending(sending) => sending.poll_reset(context),
            State::Ended => panic!("the response is complete"),
        })))
    }

    /// Answers 200 with this body, whose length is said.
    pub fn answer(&mut self, body: impl Into<Vec<u8>>) -> Result<(), h2::Error> {
        let body = body.into();
        let length = body.len().to_string();
        self.respond(200, &[("content-length", &length)], body.is_empty())?;
        match body.is_empty() {
            true => Ok(()),
            false => self.write(&body, true),
        }
    }

    /// Sends an interim response.
    pub fn inform(&mut self, status: u16, fields: &[(&str, &str)]) -> Result<(), h2::Error> {
        let State::Silent(respond) = &mut self.answer else {
            panic!("the response has begun");
        };
        respond.send_informational(head(status, fields))
    }

    /// Sends the head of the response. `is_last` says that nothing follows it.
    pub fn respond(&mut self, status: u16, fields: &[(&str, &str)], is_last: bool) -> Result<(), h2::Error> {
        let State::Silent(mut respond) = std::mem::replace(&mut self.answer, State::Ended) else {
            panic!("the response has begun");
        };
        let sending = respond.send_response(head(status, fields), is_last)?;
        if !is_last {
            self.answer = State::Sending(sending);
        }
        Ok(())
    }

    /// Sends a piece of the response's body. Waits until the windows have room for it.
    pub fn write(&mut self, bytes: &[u8], is_last: bool) -> Result<(), h2::Error> {
        let State::Sending(sending) = &mut self.answer else {
            panic!("the response has not begun, or is complete");
        };
        self.runtime.block_on(within(async {
            let mut rest = Bytes::copy_from_slice(bytes);
            if rest.is_empty() && is_last {
                return sending.send_data(rest, true);
            }
            while !rest.is_empty() {
                sending.reserve_capacity(rest.len());
                let room = poll_fn(|context| sending.poll_capacity(context)).await;
                let room = room.ok_or(Reason::STREAM_CLOSED)??;
                let piece = rest.split_to(room.min(rest.len()));
                sending.send_data(piece, is_last && rest.is_empty())?;
            }
            Ok(())
        }))
    }

    /// Ends the response with trailers.
    pub fn finish(&mut self, trailers: &[(&str, &str)]) -> Result<(), h2::Error> {
        match std::mem::replace(&mut self.answer, State::Ended) {
            State::Sending(mut sending) => sending.send_trailers(fields(trailers)),
            State::Silent(_) | State::Ended => panic!("the response has not begun, or is complete"),
        }
    }

    /// Ends the stream before its time.
    pub fn reset(&mut self, reason: Reason) {
        match std::mem::replace(&mut self.answer, State::Ended) {
            State::Silent(mut respond) => respond.send_reset(reason),
            State::Sending(mut sending) => sending.send_reset(reason),
            State::Ended => panic!("the response is complete"),
        }
    }
}

fn head(status: u16, of: &[(&str, &str)]) -> Response<()> {
    let mut head = Response::new(());
    *head.status_mut() = StatusCode::from_u16(status).expect("it is a status");
    *head.headers_mut() = fields(of);
    head
}
