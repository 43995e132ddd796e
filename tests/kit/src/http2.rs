//! An HTTP/2 client that keeps to the protocol.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{self, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::{DEADLINE, Headers, Request, Tls};

/// A connection of HTTP/2, on which many requests can be under way. A thread of its own reads and writes.
pub struct Http2 {
    runtime: Arc<Runtime>,
    sender: SendRequest<Bytes>,
    connection: Option<JoinHandle<Result<(), h2::Error>>>,
    scheme: &'static str,
    authority: String,
}

/// A request under way.
pub struct RequestStream {
    runtime: Arc<Runtime>,
    response: ResponseFuture,
    upload: SendStream<Bytes>,
}

/// A response whose body flows, perhaps while the request's still does.
pub struct Flowing {
    runtime: Arc<Runtime>,
    /// The head.
    pub head: StreamResponse,
    body: RecvStream,
}

/// A response of HTTP/2: complete, or a head whose body has yet to be read.
#[derive(Debug)]
pub struct StreamResponse {
    /// The final status.
    pub status: u16,
    /// The statuses before the final one.
    pub interim: Vec<u16>,
    /// The fields of the head.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
    /// The fields behind the body.
    pub trailers: Headers,
}

/// Windows of a client that reads large bodies at once.
const WINDOW: u32 = 1 << 20;

impl Http2 {
    /// Connects with prior knowledge.
    pub fn connect(to: SocketAddr) -> Http2 {
        let runtime = runtime();
        let stream = runtime.block_on(TcpStream::connect(to)).expect("Pace listens");
        stream.set_nodelay(true).expect("it is a socket");
        Http2::begin(runtime, stream, "http", to.to_string())
    }

    /// Connects with TLS. `authority` is the host in requests, mostly the name in the certificate.
    pub fn connect_tls(to: SocketAddr, tls: &Tls, authority: &str) -> Http2 {
        let runtime = runtime();
        let stream = runtime.block_on(async {
            let stream = TcpStream::connect(to).await.expect("Pace listens");
            stream.set_nodelay(true).expect("it is a socket");
            tls.connect_async(stream).await
        });
        let stream = stream.expect("the handshake succeeds");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        Http2::begin(runtime, stream, "https", authority.to_owned())
    }

    fn begin(
        runtime: Runtime,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        scheme: &'static str,
        authority: String,
    ) -> Http2 {
        let builder = client::Builder::new()
            .initial_window_size(WINDOW)
            .initial_connection_window_size(16 * WINDOW)
            .max_header_list_size(256 << 10)
            .clone();
        let (sender, connection) = runtime
            .block_on(builder.handshake(io))
            .expect("Pace speaks HTTP/2");
        let connection = runtime.spawn(connection);
        Http2 {
            runtime: Arc::new(runtime),
            sender,
            connection: Some(connection),
            scheme,
            authority,
        }
    }

    /// Sends a GET and waits for its response.
    pub fn get(&mut self, path: &str) -> StreamResponse {
        self.send(&Request::get(path))
    }

    /// Sends a request and waits for its response.
    pub fn send(&mut self, request: &Request) -> StreamResponse {
        self.try_send(request)
            .unwrap_or_else(|error| panic!("{} {}: {error}", request.method, request.target))
    }

    /// Sends a request and waits for its response; an error if the stream or the connection is ended instead.
    pub fn try_send(&mut self, request: &Request) -> Result<StreamResponse, h2::Error> {
        self.open(request, true)?.response()
    }

    /// Sends the beginning of a request: its head, and the body that it has so far. `is_complete` says that nothing
    /// follows.
    ///
    /// A body that is complete is preceded by its length, unless the request has one already.
    pub fn open(&mut self, request: &Request, is_complete: bool) -> Result<RequestStream, h2::Error> {
        let mut head = http::Request::builder()
            .method(request.method.as_str())
            .uri(format!("{}://{}{}", self.scheme, self.authority, request.target))
            .version(http::Version::HTTP_2)
            .body(())
            .expect("it is a request");
        for (name, value) in request.headers.iter() {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("it is a name");
            let value = HeaderValue::from_bytes(value).expect("it is a value");
            head.headers_mut().append(name, value);
        }
        if is_complete && !request.body.is_empty() && request.headers.get("content-length").is_none() {
            head.headers_mut()
                .insert("content-length", request.body.len().into());
        }
        let runtime = Arc::clone(&self.runtime);
        let (response, upload) = runtime.block_on(async {
            let sender = within(std::future::poll_fn(|context| self.sender.poll_ready(context))).await;
            sender?;
            let has_no_body = request.body.is_empty();
            self.sender.send_request(head, is_complete && has_no_body)
        })?;
        let mut exchange = RequestStream {
            runtime,
            response,
            upload,
        };
        if !request.body.is_empty() {
            // The other side may answer early and take no more: its answer is read even if a write failed.
            let _ = exchange.write(&request.body, is_complete);
        }
        Ok(exchange)
    }

    /// Waits until the other side has ended the connection, and returns the error that it gave.
    pub fn ended(&mut self) -> Result<(), h2::Error> {
        let connection = self.connection.take().expect("it is waited for once");
        let ended = self.runtime.block_on(within(connection));
        ended.expect("the connection does not panic")
    }

    /// Whether the connection accepts no more requests.
    pub fn is_closed(&mut self) -> bool {
        self.runtime
            .block_on(std::future::poll_fn(|context| {
                std::task::Poll::Ready(self.sender.poll_ready(context))
            }))
            .is_ready()
            && self.connection.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl RequestStream {
    /// Sends a piece of the body. Waits until the windows have room for it.
    ///
    /// # Errors
    ///
    /// If the other side has ended the stream.
    pub fn write(&mut self, bytes: &[u8], is_last: bool) -> Result<(), h2::Error> {
        let RequestStream { runtime, upload, .. } = self;
        runtime.block_on(within(async {
            let mut rest = Bytes::copy_from_slice(bytes);
            while !rest.is_empty() {
                upload.reserve_capacity(rest.len());
                let room = std::future::poll_fn(|context| upload.poll_capacity(context)).await;
                let room = room.ok_or(Reason::STREAM_CLOSED)??;
                let piece = rest.split_to(room.min(rest.len()));
                upload.send_data(piece, is_last && rest.is_empty())?;
            }
            Ok(())
        }))
    }

    /// Ends the body.
    pub fn finish(&mut self) -> Result<(), h2::Error> {
        self.upload.send_data(Bytes::new(), true)
    }

    /// Ends the body with trailers.
    pub fn trailers(&mut self, fields: &[(&str, &str)]) -> Result<(), h2::Error> {
        self.upload.send_trailers(self::fields(fields))
    }

    /// Ends the stream before its time.
    pub fn reset(&mut self) {
        self.upload.send_reset(Reason::CANCEL);
    }

    /// Waits for the head of the response, and goes on with the request.
    pub fn flowing(&mut self) -> Result<Flowing, h2::Error> {
        let RequestStream {
            runtime, response, ..
        } = self;
        let response = runtime.block_on(within(response))?;
        let (head, body) = response.into_parts();
        Ok(Flowing {
            runtime: Arc::clone(runtime),
            head: StreamResponse {
                status: head.status.as_u16(),
                interim: Vec::new(),
                headers: headers(&head.headers),
                body: Vec::new(),
                trailers: Headers::default(),
            },
            body,
        })
    }

    /// Waits for the response and its end.
    pub fn response(self) -> Result<StreamResponse, h2::Error> {
        let (mut response, mut body, runtime) = self.head()?;
        runtime.block_on(within(async {
            while let Some(piece) = body.data().await {
                let piece = piece?;
                response.body.extend_from_slice(&piece);
                body.flow_control().release_capacity(piece.len())?;
            }
            let trailers = body.trailers().await?.unwrap_or_default();
            response.trailers = headers(&trailers);
            Ok(response)
        }))
    }

    /// Waits for the head of the response. The body is left unread.
    pub fn head(mut self) -> Result<(StreamResponse, RecvStream, Arc<Runtime>), h2::Error> {
        let interim = Arc::new(Mutex::new(Vec::new()));
        let response = self.runtime.block_on(within(async {
            let informed = Arc::clone(&interim);
            std::future::poll_fn(|context| {
                while let std::task::Poll::Ready(Some(Ok(head))) = self.response.poll_informational(context) {
                    informed.lock().push(head.status().as_u16());
                }
                std::pin::Pin::new(&mut self.response).poll(context)
            })
            .await
        }))?;
        let (head, body) = response.into_parts();
        let response = StreamResponse {
            status: head.status.as_u16(),
            interim: interim.lock().clone(),
            headers: headers(&head.headers),
            body: Vec::new(),
            trailers: Headers::default(),
        };
        Ok((response, body, self.runtime))
    }
}

impl Flowing {
    /// Waits for the next piece of the body; `None` at its end.
    pub fn read(&mut self) -> Result<Option<Bytes>, h2::Error> {
        let Flowing { runtime, body, .. } = self;
        runtime.block_on(within(async {
            let Some(piece) = body.data().await else {
                return Ok(None);
            };
            let piece = piece?;
            body.flow_control().release_capacity(piece.len())?;
            Ok(Some(piece))
        }))
    }

    /// Waits for the trailers behind the body.
    pub fn trailers(&mut self) -> Result<Headers, h2::Error> {
        let Flowing { runtime, body, .. } = self;
        let trailers = runtime.block_on(within(body.trailers()))?;
        Ok(headers(&trailers.unwrap_or_default()))
    }
}

impl StreamResponse {
    /// The first value of a field of the head.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("a test asks for text only where it is")
    }
}

/// Fields as the library has them.
pub(crate) fn fields(fields: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("it is a name");
        map.append(name, value.parse().expect("it is a value"));
    }
    map
}

pub(crate) fn headers(map: &HeaderMap) -> Headers {
    let mut headers = Headers::default();
    for (name, value) in map {
        headers.push(name.as_str(), value.as_bytes());
    }
    headers
}

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("there are threads")
}

/// # Panics
///
/// If it takes longer than [`DEADLINE`].
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    const LIMIT: Duration = DEADLINE;
    tokio::time::timeout(LIMIT, future)
        .await
        .unwrap_or_else(|_| panic!("waited {LIMIT:?} for the other side of a connection of HTTP/2"))
}
