use futures_util::{SinkExt, StreamExt};
use std::{net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
};
use tokio_websockets::{ClientBuilder, Config, Message, Payload, WebSocketStream};
use trunkline_auth::Access;
use trunkline_engine_embedded::{Embedded, EmbeddedConfig};
use trunkline_gateway::{Counters, Drained, Gateway, GatewayConfig, Services};
use trunkline_model::{SystemClock, Timestamp};
use trunkline_rpc::{Calls, CallsConfig};

/// A gateway over a memory engine.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) stomp: SocketAddr,
    pub(crate) counters: Arc<Counters>,
    pub(crate) engine: Arc<Embedded>,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<Drained>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut GatewayConfig)) -> Self {
        Self::start_over(EmbeddedConfig::memory(), change).await
    }

    pub(crate) async fn start_over(
        engine: EmbeddedConfig,
        change: impl FnOnce(&mut GatewayConfig),
    ) -> Self {
        let mut config = on_free_ports();
        change(&mut config);
        let engine = Embedded::open(engine).unwrap();
        let gateway = Gateway::bind(config, services(engine.clone()))
            .await
            .unwrap();
        let (stop, stopped) = oneshot::channel();
        Self {
            address: gateway.local_addr(),
            stomp: gateway.stomp_addr().unwrap(),
            counters: gateway.counters(),
            engine,
            stop: Some(stop),
            running: tokio::spawn(gateway.run(async {
                let _ = stopped.await;
            })),
        }
    }

    pub(crate) async fn connect(&self) -> Client {
        self.connect_with(Config::default()).await
    }

    pub(crate) async fn connect_with(&self, config: Config) -> Client {
        let uri = format!("ws://{}/rpc", self.address);
        let (socket, _) = ClientBuilder::new()
            .config(config)
            .uri(&uri)
            .unwrap()
            .connect_on(TcpStream::connect(self.address).await.unwrap())
            .await
            .unwrap();
        Client { socket }
    }

    /// Tells the gateway to drain.
    pub(crate) fn stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    /// Waits until it has.
    pub(crate) async fn stopped(self) -> Drained {
        self.running.await.unwrap()
    }

    /// [`http`] to this server.
    pub(crate) async fn http(&self, line: &str, headers: &[&str], body: &str) -> String {
        http(self.address, line, headers, body).await
    }

    /// `POST /rpc`: status and body.
    pub(crate) async fn post(&self, body: &str) -> (u16, String) {
        let json = ["Content-Type: application/json"];
        let answer = self.http("POST /rpc", &json, body).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), body.to_owned())
    }
}

/// A configuration whose listeners take any free port.
pub(crate) fn on_free_ports() -> GatewayConfig {
    let mut config = GatewayConfig {
        http: "127.0.0.1:0".parse().unwrap(),
        ..GatewayConfig::default()
    };
    config.stomp.listen = "127.0.0.1:0".parse().unwrap();
    config
}

/// Sends a request with these headers, `Connection: close` and the body; the whole answer.
pub(crate) async fn http(address: SocketAddr, line: &str, headers: &[&str], body: &str) -> String {
    let mut request = format!("{line} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|header| header.starts_with("Host:")) {
        request.push_str(&format!("Host: {}\r\n", address));
    }
    for header in headers {
        request.push_str(&format!("{header}\r\n"));
    }
    request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A server that refuses a large body early may close while we still write.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

pub(crate) fn services(engine: Arc<Embedded>) -> Services {
    let clock = Arc::new(SystemClock::new(Timestamp::ZERO));
    let config = CallsConfig {
        // Nobody else is there to announce anything.
        ask_wait: trunkline_model::Span::default(),
        ..CallsConfig::default()
    };
    let calls = Calls::start(engine.clone(), clock.clone(), config, "test".into());
    Services {
        engine,
        calls,
        access: Arc::new(Access::allow_all()),
        clock,
        version: "0.0.0",
        engine_url: "memory:".to_owned(),
        dependencies: Vec::new(),
    }
}

/// A WebSocket client that sees frames as they are.
pub(crate) struct Client {
    socket: WebSocketStream<TcpStream>,
}

impl Client {
    pub(crate) async fn send(&mut self, frame: &str) {
        self.send_message(Message::text(frame.to_owned())).await;
    }

    pub(crate) async fn send_message(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    /// Queues a frame without waiting for the server to take it.
    pub(crate) async fn feed(&mut self, frame: String) -> Result<(), tokio_websockets::Error> {
        self.socket.feed(Message::text(Payload::from(frame))).await
    }

    pub(crate) async fn flush(&mut self) -> Result<(), tokio_websockets::Error> {
        self.socket.flush().await
    }

    /// Closes its own direction of the TCP connection, without a word.
    pub(crate) async fn stop_writing(&mut self) {
        self.socket.get_mut().shutdown().await.unwrap();
    }

    /// The next text frame; `Err` with the close code if the server closed instead.
    pub(crate) async fn receive(&mut self) -> Result<String, u16> {
        loop {
            match self.socket.next().await {
                Some(Ok(message)) if message.is_text() => {
                    return Ok(message.as_text().unwrap().to_owned());
                }
                Some(Ok(message)) if message.is_close() => {
                    return Err(u16::from(message.as_close().unwrap().0));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(0),
            }
        }
    }

    /// The close code with which the server ends the connection, after whatever it still says.
    pub(crate) async fn closed(&mut self) -> u16 {
        loop {
            if let Err(code) = self.receive().await {
                return code;
            }
        }
    }

    pub(crate) async fn ask(&mut self, frame: &str) -> String {
        self.send(frame).await;
        self.receive().await.unwrap()
    }

    pub(crate) async fn close(mut self) {
        let _ = self.socket.close().await;
    }
}
