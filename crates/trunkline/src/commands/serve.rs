use super::config;
use crate::{args::ServeArgs, context::Context, failure::Failure, signal::Stop, text};
use serde_json::{Value, json};
use std::{io::IsTerminal, path::Path, process};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    task::JoinSet,
};
use tracing_subscriber::EnvFilter;
use trunkline::{
    BindError, Config, Dependency, Drained, Server, StartError, Stopped, TlsError, WireInfo,
};
use trunkline_model::Health;

/// Exit code of a server that was told twice to end: it did not end cleanly.
const CUT_OFF: i32 = 1;

pub(crate) async fn serve(context: &Context, args: ServeArgs) -> Result<(), Failure> {
    let config = settings(&args)?;
    log(&config.log.filter)?;
    // Before anybody is told that the server is there, and may send it a signal.
    let (mut stop, hang_up) = (Stop::listen()?, signal(SignalKind::hangup())?);
    let starting = async {
        if args.wait {
            Server::start_waiting(&config).await
        } else {
            Server::start(&config).await
        }
    };
    let server = tokio::select! {
        server = starting => server.map_err(refused)?,
        () = stop.asked() => return Err(Failure::failed("stopped before it was ready")),
    };
    announce(context, &server)?;
    let (reload, trouble) = (
        tokio::spawn(reload(hang_up, server.tls_reload())),
        tokio::spawn(tell_trouble(server.health())),
    );
    let others: JoinSet<()> = server
        .dependencies()
        .iter()
        .cloned()
        .map(tell_absence)
        .collect();
    let mut again = None;
    let shutdown = async {
        stop.asked().await;
        // A store that closes takes no publishes, which is no trouble.
        trouble.abort();
        drop(others);
        eprintln!("draining; once more ends at once");
        again = Some(tokio::spawn(async move {
            stop.asked().await;
            process::exit(CUT_OFF);
        }));
    };
    let stopped = server.run(shutdown).await;
    reload.abort();
    if let Some(again) = again {
        again.abort();
    }
    if context.output.json {
        context.output.object(&json!({"event": "stopped"}))?;
    }
    eprintln!("{}", ended(stopped));
    Ok(())
}

/// SIGHUP would end the process, if nobody took it.
async fn reload(mut hang_up: Signal, tls: Option<impl Fn() -> Result<(), TlsError>>) {
    while hang_up.recv().await.is_some() {
        match tls.as_ref().map(|reload| reload()) {
            None => {
                eprintln!("SIGHUP: nothing is reloaded; restart to take up a new configuration");
            }
            Some(Ok(())) => eprintln!(
                "SIGHUP: certificate and key of stomp.tls are read again; restart to take up \
                 anything else"
            ),
            Some(Err(error)) => {
                eprintln!("SIGHUP: stomp.tls: {error}. The old certificate stays in use");
            }
        }
    }
}

/// Tells whoever runs the server when something is wrong with its store, and when that is over.
async fn tell_trouble(mut health: watch::Receiver<Health>) {
    let mut was = Health::Ready;
    loop {
        let now = health.borrow_and_update().clone();
        match (&was, &now) {
            (Health::ReadOnly(_), Health::Ready | Health::Degraded(_)) => {
                eprintln!("the store takes publishes again");
            }
            (Health::Degraded(_), Health::Ready) => eprintln!("the store is well again"),
            (Health::Failed(_), Health::Ready | Health::Degraded(_)) => {
                eprintln!("the store serves again");
            }
            (_, Health::ReadOnly(why)) => eprintln!("warning: {why}"),
            (_, Health::Failed(why)) => eprintln!("the store failed: {why}"),
            _ => {}
        }
        if let Health::Degraded(why) = &now {
            eprintln!("warning: {why}");
        }
        was = now;
        if health.changed().await.is_err() {
            return;
        }
    }
}

/// Tells when something that is needed besides the engine goes away, and when it is back.
async fn tell_absence(mut dependency: Dependency) {
    let mut away = false;
    // The first state is that nothing is known yet: the start has just used it.
    while dependency.health.changed().await.is_ok() {
        let health = dependency.health.borrow_and_update().clone();
        match health {
            Health::Ready if away => eprintln!("{}: it is back", dependency.what),
            Health::Failed(why) => eprintln!("warning: {}: {why}", dependency.what),
            _ => {}
        }
        away = matches!(*dependency.health.borrow(), Health::Failed(_));
    }
}

/// Later wins: file, environment, flag.
fn settings(args: &ServeArgs) -> Result<Config, Failure> {
    let mut config = config::read(args.config.as_deref())?;
    if let Some(url) = &args.engine {
        config.engine.url.clone_from(url);
    }
    if let Some(dir) = &args.data {
        config.engine.url = format!("embedded:{}", dir.display());
    }
    if let Some(address) = args.http {
        config.http.listen = address;
    }
    if let Some(listen) = args.stomp {
        config.stomp.listen = listen;
    }
    config.http.insecure |= args.insecure;
    Ok(config)
}

fn log(filter: &str) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| Failure::usage(format!("log.filter: {error}")))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    Ok(())
}

/// What is wrong with the configuration is the user's matter, the rest the machine's.
fn refused(error: StartError) -> Failure {
    match error {
        StartError::Config(_)
        | StartError::Unsupported { .. }
        | StartError::Declare { .. }
        | StartError::Bind(BindError::Public(_) | BindError::Tls(_)) => {
            Failure::usage(error.to_string())
        }
        StartError::Unreachable { .. } | StartError::Wire { .. } => {
            let text = format!("{error}. Start with --wait to wait until that is better");
            Failure::unreachable(text)
        }
        other => Failure::failed(other.to_string()),
    }
}

fn announce(context: &Context, server: &Server) -> Result<(), Failure> {
    let (engine, url) = (server.engine_url(), server.url());
    let (stomp, tls) = (server.stomp_address(), server.stomp_tls_address());
    if context.output.json {
        let recovery = server.recovery().map_or(Value::Null, |found| {
            json!({
                "records": found.records, "clean": found.clean, "torn": found.torn.is_some(),
            })
        });
        context.output.object(&json!({
            "event": "ready", "version": env!("CARGO_PKG_VERSION"), "engine": engine,
            "http": server.address().to_string(), "url": url,
            "stomp": stomp.map(|at| at.to_string()), "stomp_tls": tls.map(|at| at.to_string()),
            "recovery": recovery, "wires": wires(server),
            "pid": process::id(),
        }))?;
    }
    let (kept, found) = store(engine, server);
    eprintln!("trunkline {}", env!("CARGO_PKG_VERSION"));
    eprintln!("  engine     {kept}");
    eprintln!("  recovery   {found}");
    for wire in server.wires() {
        let categories = wire.categories.join(", ");
        eprintln!("  calls      {categories}: {} on {}", wire.name, wire.url);
    }
    eprintln!("  clients    {url}");
    if let Some(address) = stomp {
        eprintln!("  stomp      stomp://{address}");
    }
    if let Some(address) = tls {
        eprintln!("  stomp      stomp+ssl://{address}");
    }
    eprintln!("  health     http://{}/readyz", server.address());
    eprintln!(
        "  stop       Ctrl-C or SIGTERM to process {}",
        process::id()
    );
    let mut addresses = [Some(server.address()), stomp, tls].into_iter().flatten();
    if addresses.any(|address| !address.ip().is_loopback()) {
        eprintln!("  warning    others can reach this server, and nobody has to log in");
    }
    Ok(())
}

/// The wires of calls besides the engine's own, by name.
fn wires(server: &Server) -> Value {
    let of = |wire: &WireInfo| {
        let about = json!({"url": wire.url, "categories": wire.categories});
        (wire.name.to_owned(), about)
    };
    Value::Object(server.wires().iter().map(of).collect())
}

/// Where messages are kept and how safely, and what was found there.
fn store(engine: &str, server: &Server) -> (String, String) {
    let Some(recovery) = server.recovery() else {
        if engine != "memory:" {
            let kept = format!("{engine} (shared; as durable as it is set up to be)");
            return (kept, "nothing to recover here".to_owned());
        }
        let kept = format!("{engine} (nothing on disk, gone at the end)");
        return (kept, "nothing to recover".to_owned());
    };
    let path = Path::new(engine.trim_start_matches("embedded:"));
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let kept = format!("embedded in {} (confirmed after fdatasync)", path.display());
    let records = text::counted(recovery.records, "record");
    let mut found = match (recovery.records, recovery.clean) {
        (0, _) => "a new store".to_owned(),
        (_, true) => format!("{records}, stopped cleanly before"),
        (_, false) => format!("{records}, not stopped cleanly before; nothing confirmed is lost"),
    };
    if let Some(torn) = &recovery.torn {
        found.push_str(&format!(
            "; an unfinished end was cut off (offset {} of {})",
            torn.offset, torn.file
        ));
    }
    (kept, found)
}

fn ended(stopped: Stopped) -> String {
    let cut_off = match stopped.drained {
        Drained::CutOff { connections } => connections,
        _ => 0,
    };
    match (stopped.closed, cut_off) {
        (false, _) => "stopped before the store was closed; the next start recovers it".to_owned(),
        (true, 0) => "stopped cleanly".to_owned(),
        (true, open) => {
            let open = text::counted(open, "connection");
            format!("stopped; {open} did not close in time")
        }
    }
}
