use crate::{
    BindError, Gateway, GatewayConfig, Services, bind,
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
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};

/// Most connections that are answered at once while nothing can be served.
const WAITING_MAX: usize = 64;

/// An address that is taken while what stands behind it is still starting.
///
/// A store may take a while to recover. Whoever asks meanwhile is told so, instead of finding
/// nobody there, and a second server learns at once that the address is in use.
#[derive(Debug)]
pub struct Doorstep {
    config: GatewayConfig,
    listener: TcpListener,
    address: SocketAddr,
}

impl Doorstep {
    /// Takes the configured address; nothing is accepted before [`Doorstep::open`].
    ///
    /// # Errors
    /// [`BindError`] says why not, and what to do.
    pub async fn bind(config: GatewayConfig) -> Result<Self, BindError> {
        let listener = bind::listen(&config).await?;
        let address = listener.local_addr().map_err(|source| BindError::Io {
            address: config.http,
            source,
        })?;
        Ok(Self {
            config,
            listener,
            address,
        })
    }

    /// Where it listens: with the port that was taken, if port 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Waits for what is to be served. Meanwhile `/healthz` says that the process is alive, and
    /// everything else gets 503 with `doing`, what the server is doing.
    ///
    /// # Errors
    /// Those of `starting`; the address is given up then.
    pub async fn open<E>(
        self,
        doing: &'static str,
        starting: impl Future<Output = Result<Services, E>>,
    ) -> Result<Gateway, E> {
        let starting = pin!(starting);
        let services = tokio::select! {
            services = starting => services?,
            never = turn_away(&self.listener, doing) => match never {},
        };
        Ok(self.into_gateway(services))
    }

    pub(crate) fn into_gateway(self, services: Services) -> Gateway {
        let shared = Shared::new(self.config, services);
        Gateway::over(shared, self.listener, self.address)
    }
}

/// Answers everybody that nothing can be served yet, one request a connection.
async fn turn_away(listener: &TcpListener, doing: &'static str) -> Infallible {
    let room = Arc::new(Semaphore::new(WAITING_MAX));
    let starting = move || async move {
        let reason = format!("the server is starting: {doing}");
        problem(StatusCode::SERVICE_UNAVAILABLE, &reason)
    };
    let router = Router::new()
        .route("/healthz", get(http::healthz))
        .fallback(starting);
    loop {
        match listener.accept().await {
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
