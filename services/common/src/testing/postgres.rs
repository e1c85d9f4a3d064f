//! A `PostgreSQL` server for one test.

use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::database_url;
use crate::store::DatabaseUrl;

/// A server with its data and its socket in a temporary directory. Dropping this value stops the server.
#[derive(Debug)]
pub struct Postgres {
    directory: TempDir,
    programs: PathBuf,
    user: Option<User>,
    server: Child,
}

/// The user that runs the server if the test runs as root, because `PostgreSQL` refuses to run as root.
#[derive(Clone, Debug)]
struct User {
    id: u32,
    group: u32,
}

impl Postgres {
    /// Starts a server. If `PostgreSQL` is not installed, prints a note to standard error and returns `None`.
    #[must_use]
    pub fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            print_note("skipped: initdb and postgres are neither in PATH nor in /usr/lib/postgresql/*/bin");
            return None;
        };
        let directory = tempfile::tempdir().unwrap();
        let user = unprivileged_user(directory.path());
        let data = directory.path().join("data");

        let initdb = command(&programs, "initdb", user.as_ref())
            .args([
                "--username=app",
                "--auth=trust",
                "--encoding=UTF8",
                "--no-locale",
                "--no-sync",
                "--pgdata",
            ])
            .arg(&data)
            .output()
            .unwrap();
        assert!(initdb.status.success(), "{}", String::from_utf8_lossy(&initdb.stderr));

        let server = command(&programs, "postgres", user.as_ref())
            .arg("-D")
            .arg(&data)
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-k"])
            .arg(directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut postgres = Self { directory, programs, user, server };
        postgres.wait_until_listening();
        Some(postgres)
    }

    /// Returns the URL of the server's database, which is empty at first.
    #[must_use]
    pub fn url(&self) -> DatabaseUrl {
        database_url(&format!("postgres:///postgres?user=app&host={}", self.directory.path().display()))
    }

    /// Waits until the server accepts connections to its socket. A server that is still starting can accept a
    /// connection but reject the login. sqlx then retries.
    fn wait_until_listening(&mut self) {
        let socket = self.directory.path().join(".s.PGSQL.5432");
        let deadline = Instant::now() + Duration::from_secs(30);
        while UnixStream::connect(&socket).is_err() {
            assert!(self.server.try_wait().unwrap().is_none(), "postgres exited during its start");
            assert!(Instant::now() < deadline, "postgres did not listen within 30 s");
            sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // A server that pg_ctl stops releases its shared memory. After SIGKILL, the memory would remain.
        let status = command(&self.programs, "pg_ctl", self.user.as_ref())
            .args(["stop", "--mode=immediate", "--silent", "--pgdata"])
            .arg(self.directory.path().join("data"))
            .status();
        if !status.is_ok_and(|status| status.success()) {
            let _ = self.server.kill();
        }
        let _ = self.server.wait();
    }
}

/// Finds the directory with the server's programs: in `PATH`, or in the newest of Debian's version
/// directories.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut debian: Vec<_> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|version| Some(version.ok()?.path().join("bin")))
        .collect();
    debian.sort();
    let mut directories = std::env::split_paths(&path).chain(debian.into_iter().rev());
    directories.find(|directory| directory.join("initdb").exists() && directory.join("postgres").exists())
}

/// If this process runs as root, changes the owner of `directory` to the user `postgres` or `nobody` and returns that
/// user.
fn unprivileged_user(directory: &Path) -> Option<User> {
    // The process has just created the directory, so the owner of the directory is the user of the process.
    if directory.metadata().unwrap().uid() != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let user = ["postgres", "nobody"].iter().find_map(|name| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some(User { id: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()? })
    });
    let user = user.unwrap();
    chown(directory, Some(user.id), Some(user.group)).unwrap();
    Some(user)
}

fn command(programs: &Path, name: &str, user: Option<&User>) -> Command {
    let mut command = Command::new(programs.join(name));
    command.current_dir("/");
    if let Some(user) = user {
        command.uid(user.id).gid(user.group);
    }
    command
}

#[expect(clippy::print_stderr, reason = "a skipped test must be visible")]
fn print_note(message: &str) {
    eprintln!("{message}");
}
