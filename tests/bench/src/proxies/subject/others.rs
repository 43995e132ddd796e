//! The configurations of nginx and HAProxy: the work that Pace does with its three plugins, without a limit
//! of requests.
//!
//! Each has one worker, keeps connections to backends, logs nothing, tells the backend the client's address,
//! and tells both sides who served. Bodies are passed on as they come, and none is written to a disk. Limits
//! of requests per connection are turned off.
//!
//! With TLS each speaks version 1.3 alone and, where a client chooses it, HTTP/2. Connections without a request, which are
//! those of handshakes, get no answer. Everything else of TLS and HTTP/2 is as by default, session tickets included.

use super::Setting;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

pub(super) fn nginx(setting: &Setting, listen: SocketAddr, directory: &Path) -> String {
    let mut servers = String::new();
    for backend in &setting.backends {
        writeln!(servers, "        server {backend};").expect("writing to memory cannot fail");
    }
    let directory = directory.display();
    let kept = setting.connections_kept();
    let (kind, certificate) = match &setting.tls {
        Some(files) => (
            " ssl http2",
            format!(
                "        ssl_certificate {};\n        ssl_certificate_key {};\n        ssl_protocols TLSv1.3;\n",
                files.cert.display(),
                files.key.display()
            ),
        ),
        None => ("", String::new()),
    };
    format!(
        r#"daemon off;
master_process off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr error;

events {{
    worker_connections 16384;
}}

http {{
    access_log off;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;

    upstream backends {{
{servers}        keepalive {kept};
        keepalive_requests 1000000000;
    }}

    server {{
        listen {listen}{kind} backlog=4096;
{certificate}        location / {{
            proxy_pass http://backends;
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_max_temp_file_size 0;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Proxy nginx;
            add_header X-Proxy nginx always;
            add_header X-Backend $upstream_addr always;
        }}
    }}
}}
"#
    )
}

pub(super) fn haproxy(setting: &Setting, listen: SocketAddr) -> String {
    // HAProxy's server names are the values of `X-Backend`.
    let mut servers = String::new();
    for backend in &setting.backends {
        writeln!(servers, "    server {backend} {backend}").expect("writing to memory cannot fail");
    }
    let tls = setting.tls.as_ref().map_or(String::new(), |files| {
        format!(
            " ssl crt {} alpn h2,http/1.1 ssl-min-ver TLSv1.3",
            files.both.display()
        )
    });
    format!(
        "global
    nbthread 1
    maxconn 16384
    no strict-limits

defaults
    mode http
    option http-ignore-probes
    timeout connect 3s
    timeout client 600s
    timeout server 60s
    timeout http-keep-alive 600s

frontend clients
    bind {listen} backlog 4096{tls}
    default_backend backends

backend backends
    balance roundrobin
    http-reuse always
    option forwardfor
    http-request set-header X-Proxy haproxy
    http-response set-header X-Proxy haproxy
    http-response set-header X-Backend %s
{servers}"
    )
}
