//! `trunkline backup` and `restore`: what goes wrong, and that nothing half is left then. What
//! is in a backup that was made under load is compared with ledgers in `soak`.

use crate::setup::{Ran, Server, Store, run, seq, setup, store, text, trunkline};
use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

/// A store with some lines in it, and what it is run with.
fn filled(store: &Store) -> Server {
    let data = store.path();
    let mut command = trunkline(&["--json", "serve", "--http", "127.0.0.1:0", "--data"]);
    command
        .arg(data)
        .env("TRUNKLINE_ENGINE__SEGMENT_BYTES", "512KiB");
    let server = Server::of(command);
    server
        .run(&["subscription", "add", "numbers", "audit"])
        .ok();
    publish(&server);
    server
}

fn publish(server: &Server) {
    server
        .feed(&["publish", "numbers", "--lines"], seq(50).as_bytes())
        .ok();
}

/// A directory for what a test makes, and a path in it.
fn scratch() -> (tempfile::TempDir, impl Fn(&str) -> PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_owned();
    (dir, move |name| root.join(name))
}

fn restore(source: &Path, dir: &Path) -> Ran {
    run(trunkline(&["restore", text(source), text(dir)]), b"")
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn a_backup_becomes_a_server_again_whatever_its_form() {
    let store = store();
    let server = filled(&store);
    let (_scratch, at) = scratch();
    let (dir, tar) = (at("dir"), at("all.tar"));
    let told = server.run(&["--json", "backup", text(&dir)]).objects();
    assert_eq!(told[0]["files"], 1, "{told:?}");
    let said = server.run(&["backup", text(&tar)]).ok();
    assert!(said.contains("everything confirmed before"), "{said}");
    let piped = at("piped.tar");
    let mut backup = server.command(&["backup", "-"]);
    backup.stdout(fs::File::create(&piped).unwrap());
    assert!(backup.status().unwrap().success());
    // Of later, so that the copies are told from the original.
    publish(&server);

    let again = at("again");
    for (number, source) in [dir, tar, piped].into_iter().enumerate() {
        let restored = at(&format!("restored-{number}"));
        let said = restore(&source, &restored).ok();
        for part in ["1 topic with 50 messages", "trunkline serve --data"] {
            assert!(said.contains(part), "{said}");
        }
        let copy = Server::start(&["--http", "127.0.0.1:0", "--data", text(&restored)]);
        let count = ["consume", "numbers", "-s", "audit", "--count", "50"];
        assert_eq!(copy.run(&count).ok(), seq(50));
        assert!(copy.stop().success());
        // A stopped server's directory is a backup of its own.
        let told = run(
            trunkline(&["--json", "restore", text(&restored), text(&again)]),
            b"",
        );
        assert_eq!(told.objects()[0]["messages"], 0);
        fs::remove_dir_all(&again).unwrap();
    }
    assert!(
        names(&at(""))
            .iter()
            .all(|name| !name.ends_with(".partial"))
    );
}

#[test]
fn wrong_targets_are_refused_before_anything_happens() {
    let store = store();
    let server = filled(&store);
    let (_scratch, at) = scratch();
    let full = store.path();
    let backup = |target: &Path| server.run(&["backup", text(target)]);
    backup(&full).fails(2, "is not empty");
    backup(&store.file("there.tar", "x")).fails(2, "already there");
    backup(Path::new("/proc/no/such/place")).fails(2, "/proc/no/such/place");
    backup(&store.file("file", "x")).fails(2, "file");
    fs::create_dir(at("cut.partial")).unwrap();
    backup(&at("cut")).fails(2, "cut.partial is there");
    setup()
        .run(&["backup", text(&at("memory"))])
        .fails(1, "(-32010)");

    let source = at("source");
    backup(&source).ok();
    restore(&source, &full).fails(2, "in use by a running server");
    restore(&full, &at("x")).fails(2, "in use by a running server");
    restore(&source, &source).fails(2, "is not empty");
    restore(&at("nothing"), &at("x")).fails(2, "nothing");
    restore(&store.file("no.tar", "x"), &at("x")).fails(1, "not a whole backup");
    let url = server.url.clone();
    assert!(server.stop().success());
    let gone = trunkline(&["--url", &url, "backup", text(&at("gone"))]);
    run(gone, b"").fails(3, "can't connect");
    assert_eq!(names(&at("")), ["cut.partial", "source"]);
}

#[test]
fn a_cut_connection_leaves_nothing() {
    let (_scratch, at) = scratch();
    for (target, archive) in [
        ("dir", false),
        ("all.tar", false),
        ("-", false),
        ("dir", true),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let mut read = 0;
            while !request[..read].ends_with(b"\r\n\r\n") {
                read += stream.read(&mut request[read..]).unwrap();
            }
            let length = if archive { 1024 } else { 1 << 20 };
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&[0; 1024]).unwrap();
        });
        let says = match archive {
            // It came as promised, but nothing is in it.
            true => "no file of a store is in it",
            false => "lost the connection",
        };
        let target = match target {
            "-" => target.to_owned(),
            name => text(&at(name)).to_owned(),
        };
        run(trunkline(&["--url", &url, "backup", &target]), b"").fails(1, says);
        server.join().unwrap();
        assert_eq!(names(&at("")), [""; 0]);
    }
}

#[test]
fn a_damaged_backup_is_not_restored() {
    let store = store();
    let server = filled(&store);
    let (_scratch, at) = scratch();
    let source = at("source");
    server.run(&["backup", text(&source)]).ok();
    let segment = source.join("0000000001.seg");
    let whole = fs::read(&segment).unwrap();

    // The second line of many: what comes after it proves that it was durable.
    let mut damaged = whole.clone();
    let body = damaged.windows(7).position(|part| part == b"numbers");
    damaged[body.unwrap()] ^= 1;
    fs::write(&segment, damaged).unwrap();
    restore(&source, &at("x")).fails(1, "0000000001.seg is damaged at offset");
    fs::write(&segment, &whole[..whole.len() - 1]).unwrap();
    restore(&source, &at("x")).fails(1, "instead of");
    fs::remove_file(&segment).unwrap();
    restore(&source, &at("x")).fails(1, "no file of a store is in it");
    fs::write(&segment, whole).unwrap();
    fs::write(source.join("notes.txt"), "").unwrap();
    restore(&source, &at("x")).fails(1, "notes.txt");
    assert_eq!(names(&at("")), ["source"]);
}

/// Makes a file system of 300 KiB at `$0` that only this process and its children see, runs the
/// command that follows there, and says what is left.
const ON_A_SMALL_DISK: &str = r#"
mount -t tmpfs -o size=300k tmpfs "$0" && cd "$0" && { "$@"; code=$?; ls -A; exit $code; }
"#;

#[test]
fn a_full_disk_leaves_nothing_half() {
    let store = store();
    let server = filled(&store);
    let (_scratch, at) = scratch();
    let source = at("source.tar");
    server.run(&["backup", text(&source)]).ok();
    let place = at("small");
    fs::create_dir(&place).unwrap();
    let on_a_small_disk = |command: &[&str]| {
        let mut unshare = Command::new("unshare");
        unshare
            .args(["--user", "--map-root-user", "--mount", "sh", "-c"])
            .args([ON_A_SMALL_DISK, text(&place)])
            .args(command);
        run(unshare, b"")
    };
    if on_a_small_disk(&["true"]).code != Some(0) {
        eprintln!("not run: this machine lets nobody make a file system of their own");
        return;
    }
    let program = env!("CARGO_BIN_EXE_trunkline");
    for arguments in [
        ["--url", &server.url, "backup", "dir"],
        ["--url", &server.url, "backup", "all.tar"],
        ["restore", text(&source), "data", "--json"],
    ] {
        let command = [&[program], &arguments[..]].concat();
        let ran = on_a_small_disk(&command);
        assert_eq!(ran.out, "", "{ran:?}");
        ran.fails(1, "No space left on device");
    }
    // The server doesn't notice.
    publish(&server);
}

/// A file of random bytes was once shown on the terminal as it was.
#[test]
fn what_a_file_holds_is_not_said_to_a_terminal() {
    let (_scratch, at) = scratch();
    let mut state = 1u32;
    let random = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    let mut files = vec![random.take(20_000).collect::<Vec<_>>()];
    // A tar archive whose one file would set the title and clear the screen.
    let mut header = tar::Header::new_gnu();
    let name = "\x1b]0;title\x07\x1b[2J\u{202e}".repeat(5);
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_size(0);
    header.set_cksum();
    files.push(header.as_bytes().to_vec());
    for (number, file) in files.iter().enumerate() {
        let source = at(&number.to_string());
        fs::write(&source, file).unwrap();
        let ran = restore(&source, &at("d"));
        let said = ran.err.trim_end();
        let does_something = |char: char| char.is_control() || char == '\u{202e}';
        assert!(!said.contains(does_something), "{said:?}");
        assert!(said.len() < 2_000, "{said:?}");
        ran.fails(1, "not a whole backup");
    }
}
