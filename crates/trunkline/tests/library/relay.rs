//! A TCP relay that breaks connections when it is told to.

use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

pub(crate) struct Relay {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
}

#[derive(Clone, Copy, Default)]
struct Mode {
    /// Connections of an earlier era are cut.
    era: u64,
    /// What the server says is kept back.
    hold: bool,
    /// Connections are taken and dropped.
    refuse: bool,
}

impl Relay {
    pub(crate) async fn before(url: &str) -> Self {
        let to: SocketAddr = url
            .strip_prefix("ws://")
            .and_then(|rest| rest.strip_suffix("/rpc"))
            .unwrap()
            .parse()
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mode = watch::Sender::new(Mode::default());
        tokio::spawn(accept(listener, to, mode.subscribe()));
        Self { address, mode }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// What the server says from now on is kept back.
    pub(crate) fn hold(&self) {
        self.mode.send_modify(|mode| mode.hold = true);
    }

    /// What was kept back goes on its way.
    pub(crate) fn release(&self) {
        self.mode.send_modify(|mode| mode.hold = false);
    }

    /// Breaks all connections; what was kept back is gone.
    pub(crate) fn cut(&self) {
        self.mode.send_modify(|mode| {
            mode.era += 1;
            mode.hold = false;
        });
    }

    /// Breaks all connections, and takes no others.
    pub(crate) fn close(&self) {
        self.mode.send_modify(|mode| mode.refuse = true);
        self.cut();
    }

    /// Takes connections again.
    pub(crate) fn open(&self) {
        self.mode.send_modify(|mode| mode.refuse = false);
    }
}

async fn accept(listener: TcpListener, to: SocketAddr, mode: watch::Receiver<Mode>) {
    while let Ok((near, _)) = listener.accept().await {
        let Mode { era, refuse, .. } = *mode.borrow();
        if refuse {
            continue;
        }
        let Ok(far) = TcpStream::connect(to).await else {
            continue;
        };
        let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
        tokio::spawn(pump(from_near, to_far, mode.clone(), era, false));
        tokio::spawn(pump(from_far, to_near, mode.clone(), era, true));
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut mode: watch::Receiver<Mode>,
    era: u64,
    can_hold: bool,
) {
    let mut cut = mode.clone();
    let work = async {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            if can_hold && mode.wait_for(|mode| !mode.hold).await.is_err() {
                return;
            }
            if mode.borrow().era != era || to.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = work => {}
        _ = cut.wait_for(|mode| mode.era != era) => {}
    }
}
