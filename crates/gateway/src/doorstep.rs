use crate::{
    BindError, Gateway, GatewayConfig, Services,
    bind::{self, Bound, Listeners},
    gateway::survive,
    http::{self, problem},
    shared::Shared,
};
use ::http::StatusCode;
use axum::{Router, routing::get};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{convert::Infallible, future::Future, net::SocketAddr, pin::pin, sync::Arc};
use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
};

/// Most connections of each listener that are answered at once while nothing can be served.
pub(crate) const WAITING_MAX: usize = 64;

/// Addresses that are taken while what stands behind them is still starting.
///
/// A store may take a while to recover. Whoever asks meanwhile is told so, instead of finding
/// nobody there, and a second server learns at once that an address is in use.
#[derive(Debug)]
pub struct Doorstep {
    config: GatewayConfig,
    listeners: Listeners,
}

impl Doorstep {
    /// Takes the configured addresses; nothing is accepted before [`Doorstep::open`].
    ///
    /// # Errors
    /// [`BindError`] says why not, and what to do.
    pub async fn bind(config: GatewayConfig) -> Result<Self, BindError> {
        let listeners = bind::listen(&config).await?;
        Ok(Self { config, listeners })
    }

    /// Where it listens for HTTP: with the port that was taken, if port 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.listeners.http.address
    }

    /// Where it listens for STOMP, if it does.
    pub fn stomp_addr(&self) -> Option<SocketAddr> {
        self.listeners.stomp.plain_addr()
    }

    /// Waits for what is to be served. Meanwhile `/healthz` says that the process is alive, and
    /// everything else gets 503, or an ERROR over STOMP, with `doing`, what the server is doing.
    ///
    /// # Errors
    /// Those of `starting`; the addresses are given up then.
    pub async fn open<E>(
        self,
        doing: &'static str,
        starting: impl Future<Output = Result<Services, E>>,
    ) -> Result<Gateway, E> {
        let starting = pin!(starting);
        let reason = format!("the server is starting: {doing}");
        let services = tokio::select! {
            services = starting => services?,
            never = turn_away(&self.listeners.http, &reason) => match never {},
            never = self.listeners.stomp.turn_away(&reason, &self.config.stomp) => match never {},
        };
        Ok(self.into_gateway(services))
    }

    pub(crate) fn into_gateway(self, services: Services) -> Gateway {
        let shared = Shared::new(self.config, services);
        Gateway::over(shared, self.listeners)
    }
}

/// Answers everybody that nothing can be served yet, one request a connection.
async fn turn_away(bound: &Bound, reason: &str) -> Infallible {
    let room = Arc::new(Semaphore::new(WAITING_MAX));
    let reason: Arc<str> = reason.into();
    let starting = move || async move { problem(StatusCode::SERVICE_UNAVAILABLE, &reason) };
    let router = Router::new()
        .route("/healthz", get(http::healthz))
        .fallback(starting);
    loop {
        match bound.listener.accept().await {
            Ok((stream, _)) => {
                if let Ok(place) = room.clone().try_acquire_owned() {
                    tokio::spawn(answer_one(stream, router.clone(), place));
                }
            }
            Err(error) => survive(&error).await,
        }
    }
}

async fn answer_one(stream: TcpStream, router: Router, _place: OwnedSemaphorePermit) {
    let connection = http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(http::HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // Errors are the client's: it went away or did not speak HTTP.
    let _ = connection.await;
}
