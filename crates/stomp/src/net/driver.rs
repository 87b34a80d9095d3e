//! What moves bytes between a machine that decides and a socket.

use super::socket::{self, Address, Socket};
use crate::Lost;
use bytes::BytesMut;
use futures_util::FutureExt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};
use trunkline_model::Timestamp;

/// Room for one read; what is read at once is bounded by it.
const READ_BYTES: usize = 64 << 10;
/// Room that is made anew when less is left.
const READ_BYTES_MIN: usize = 4 << 10;
/// Longest wait for a connection to be closed in an orderly way, and for the server's last words
/// once nothing can be written any more.
const GOODBYE: Duration = Duration::from_secs(1);

/// What to do with the connection.
#[derive(Debug)]
pub(crate) enum Steer {
    /// Make one.
    Open(Address),
    /// Close it, or stop making it.
    Close,
}

/// What a driver drives: a session with what belongs to it. One connection at a time; what is
/// heard of a connection that it has given up is not told to it.
pub(crate) trait Machine: Send + 'static {
    /// What to do with the connection, in order, as long as there is something.
    fn steer(&mut self) -> Option<Steer>;
    /// Whether [`steer`](Self::steer) has something.
    fn wants_steering(&self) -> bool;
    /// The connection is made.
    fn opened(&mut self, now: Timestamp);
    /// It could not be made.
    fn open_failed(&mut self, now: Timestamp, why: &str);
    /// Something was read; what is left in `input` comes again with more.
    fn receive(&mut self, now: Timestamp, input: &mut BytesMut);
    /// The connection has ended.
    fn lost(&mut self, now: Timestamp, lost: Lost);
    /// Does what is due.
    fn tick(&mut self, now: Timestamp);
    /// When the next thing is due.
    fn next_deadline(&self) -> Option<Timestamp>;
    /// What is to be written.
    fn take_output(&mut self) -> BytesMut;
    /// Everything that was taken is written.
    fn written(&mut self, now: Timestamp);
    /// Whether more may be read. If not, it wakes the driver once it may.
    fn has_room(&mut self) -> bool;
    /// Nothing is read at the moment; said before [`tick`](Self::tick).
    fn paused(&mut self, now: Timestamp);
    /// Nothing is left to be done: the driver ends.
    fn is_over(&self) -> bool;
    /// What users are told without a lock on the machine, if there is something.
    fn after_unlock(&mut self) -> Option<Box<dyn FnOnce() + Send>>;
}

/// A machine, its users and its driver.
#[derive(Debug)]
pub(crate) struct Shared<M> {
    machine: Mutex<M>,
    changed: Arc<Notify>,
    started: Instant,
}

impl<M: Machine> Shared<M> {
    /// `changed` wakes the driver, for those who don't know the machine.
    pub(crate) fn new(machine: M, changed: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self {
            machine: Mutex::new(machine),
            changed,
            #[expect(clippy::disallowed_methods, reason = "the shell owns the time")]
            started: Instant::now(),
        })
    }

    /// Lets a user do something with the machine, and the driver see what came of it.
    pub(crate) fn with<R>(&self, act: impl FnOnce(&mut M, Timestamp) -> R) -> R {
        let result = self.act(act);
        self.changed.notify_one();
        result
    }

    fn act<R>(&self, act: impl FnOnce(&mut M, Timestamp) -> R) -> R {
        let mut machine = self.lock();
        // Under the lock: `now` must not go back.
        let result = act(&mut machine, self.now());
        let after = machine.after_unlock();
        drop(machine);
        if let Some(after) = after {
            after();
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, M> {
        // A panic of a machine is a bug that its user has seen; the others may go on.
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[expect(clippy::disallowed_methods, reason = "the shell owns the time")]
    fn now(&self) -> Timestamp {
        Timestamp::ZERO.after(self.started.elapsed())
    }

    /// Like [`act`](Self::act), for what a connection tells: nothing, if the machine has given it up.
    fn tell(&self, act: impl FnOnce(&mut M, Timestamp)) {
        self.act(|machine, now| {
            if !machine.wants_steering() {
                act(machine, now);
            }
        });
    }
}

enum Link {
    None,
    Opening(Pin<Box<dyn Future<Output = Result<Socket, String>> + Send>>),
    Open(Open),
}

struct Open {
    read: ReadHalf<Socket>,
    write: WriteHalf<Socket>,
    input: BytesMut,
    output: BytesMut,
    /// Something is written that may not have left yet.
    unflushed: bool,
    /// Writing failed: why, and how long the server is heard then. An ERROR that came before
    /// explains more.
    broken: Option<(std::io::Error, Instant)>,
}

/// What happened.
enum Happened {
    Changed,
    Due,
    Opened(Result<Socket, String>),
    Read(std::io::Result<usize>),
    Wrote(std::io::Result<usize>),
    Flushed(std::io::Result<()>),
    Silent,
}

/// Drives a machine until it is over.
pub(crate) async fn drive<M: Machine>(shared: Arc<Shared<M>>) {
    let mut link = Link::None;
    let mut room = true;
    loop {
        let mut deadline = None;
        let mut over = false;
        shared.act(|machine, now| {
            while let Some(steer) = machine.steer() {
                link.leave();
                if let Steer::Open(address) = steer {
                    link = Link::Opening(Box::pin(socket::open(address)));
                }
            }
            if let Link::Open(open) = &mut link {
                if open.output.is_empty() && !open.unflushed && open.broken.is_none() {
                    open.output = machine.take_output();
                }
                let had_room = std::mem::replace(&mut room, machine.has_room());
                if room && !had_room {
                    // What came in the meantime is still to be read.
                    machine.paused(now);
                }
            }
            deadline = machine.next_deadline();
            over = machine.is_over();
        });
        if over {
            break;
        }
        let due = deadline.and_then(|at| shared.started.checked_add(at.since(Timestamp::ZERO)));
        let happened = wait(&mut link, &shared.changed, room, due).await;
        match happened {
            Happened::Changed => {}
            Happened::Due => {
                // Who was held up himself must not take the server for silent.
                if room && let Some(result) = link.read_now() {
                    read(&shared, &mut link, result);
                }
                shared.tell(|machine, now| {
                    if !room {
                        machine.paused(now);
                    }
                    machine.tick(now);
                });
            }
            Happened::Opened(result) => opened(&shared, &mut link, result),
            Happened::Read(result) => read(&shared, &mut link, result),
            Happened::Wrote(result) => wrote(&mut link, result),
            Happened::Flushed(result) => {
                if let Link::Open(open) = &mut link {
                    open.unflushed = false;
                }
                match result {
                    Ok(()) => shared.tell(|machine, now| machine.written(now)),
                    Err(error) => broke(&mut link, error),
                }
            }
            Happened::Silent => {
                if let Link::Open(Open {
                    broken: Some((error, _)),
                    ..
                }) = std::mem::replace(&mut link, Link::None)
                {
                    lose(&shared, &mut link, &error);
                }
            }
        }
    }
    link.leave();
}

async fn wait(link: &mut Link, changed: &Notify, room: bool, due: Option<Instant>) -> Happened {
    let due = until(due);
    match link {
        Link::None => tokio::select! {
            () = changed.notified() => Happened::Changed,
            () = due => Happened::Due,
        },
        Link::Opening(opening) => tokio::select! {
            () = changed.notified() => Happened::Changed,
            () = due => Happened::Due,
            result = opening => Happened::Opened(result),
        },
        Link::Open(Open {
            read,
            write,
            input,
            output,
            unflushed,
            broken,
        }) => {
            let (writing, flushing) = (!output.is_empty(), output.is_empty() && *unflushed);
            let silent = until(broken.as_ref().map(|(_, until)| *until));
            let write = async {
                match flushing {
                    true => Happened::Flushed(write.flush().await),
                    false => Happened::Wrote(write.write_buf(output).await),
                }
            };
            make_room(input);
            tokio::select! {
                () = changed.notified() => Happened::Changed,
                () = due => Happened::Due,
                happened = write, if writing || flushing => happened,
                result = read.read_buf(input), if room => Happened::Read(result),
                () = silent => Happened::Silent,
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the shell owns the time")]
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn opened<M: Machine>(shared: &Shared<M>, link: &mut Link, result: Result<Socket, String>) {
    *link = Link::None;
    match result {
        Ok(socket) => shared.tell(|machine, now| {
            let (read, write) = tokio::io::split(socket);
            *link = Link::Open(Open {
                read,
                write,
                input: BytesMut::new(),
                output: BytesMut::new(),
                unflushed: false,
                broken: None,
            });
            machine.opened(now);
        }),
        Err(why) => shared.tell(|machine, now| machine.open_failed(now, &why)),
    }
}

fn read<M: Machine>(shared: &Shared<M>, link: &mut Link, result: std::io::Result<usize>) {
    match result {
        Ok(0) => {
            *link = Link::None;
            shared.tell(|machine, now| machine.lost(now, Lost::Closed));
        }
        Ok(_) => {
            if let Link::Open(open) = link {
                shared.tell(|machine, now| machine.receive(now, &mut open.input));
            }
        }
        Err(error) => lose(shared, link, &error),
    }
}

fn wrote(link: &mut Link, result: std::io::Result<usize>) {
    match result {
        Ok(0) => broke(link, std::io::ErrorKind::WriteZero.into()),
        Ok(_) => {
            if let Link::Open(open) = link {
                open.unflushed = true;
            }
        }
        Err(error) => broke(link, error),
    }
}

/// Nothing can be written any more.
#[expect(clippy::disallowed_methods, reason = "the shell owns the time")]
fn broke(link: &mut Link, error: std::io::Error) {
    if let Link::Open(open) = link {
        open.output.clear();
        open.unflushed = false;
        open.broken = Some((error, Instant::now() + GOODBYE));
    }
}

fn lose<M: Machine>(shared: &Shared<M>, link: &mut Link, error: &std::io::Error) {
    *link = Link::None;
    let lost = match error.kind() {
        // As good as a proper end, and what a server that closes with unread input makes of it.
        std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe => Lost::Closed,
        _ => Lost::Io(error.to_string()),
    };
    shared.tell(|machine, now| machine.lost(now, lost));
}

fn make_room(input: &mut BytesMut) {
    if input.capacity() - input.len() < READ_BYTES_MIN {
        input.reserve(READ_BYTES);
    }
}

impl Link {
    /// What is there to be read without waiting.
    fn read_now(&mut self) -> Option<std::io::Result<usize>> {
        let Link::Open(Open { read, input, .. }) = self else {
            return None;
        };
        make_room(input);
        read.read_buf(input).now_or_never()
    }

    /// Leaves it; an open connection is closed beside.
    fn leave(&mut self) {
        if let Link::Open(open) = std::mem::replace(self, Link::None) {
            close(open);
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "closing must not hold up the next connection"
)]
fn close(open: Open) {
    let Open {
        read,
        mut write,
        output,
        ..
    } = open;
    tokio::spawn(timeout(GOODBYE, async move {
        // What was begun is finished if the other side takes it.
        let _ = write.write_all(&output).await;
        let _ = write.shutdown().await;
        drop(read);
    }));
}
