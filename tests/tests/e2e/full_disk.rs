//! The disk of Jaeger or of the stores is full for a while, and nothing is lost.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use sightline::stack::{JAEGER, StackConfig, VICTORIA_LOGS, VICTORIA_METRICS};
use sightline_tests::prometheus::Samples;
use sightline_tests::suite::Suite;
use sightline_tests::test_stack::TestStack;
use tempfile::TempDir;

use crate::outage::Traffic;
use crate::stores::{serve_orders, wait_until_all_stored};

/// The stores, each with the metric that is 1 while the store accepts no data because too little space is free.
const STORES: [(&str, &str); 2] =
    [(VICTORIA_METRICS, "vm_storage_is_read_only"), (VICTORIA_LOGS, "vl_storage_is_read_only")];

/// A store with less free space than this accepts no data.
const LIMIT_MIB: u64 = 20;
/// The free space of a store whose disk is full. A store needs some space for what it has already accepted.
const LEFT_MIB: u64 = 8;

pub(crate) fn add(suite: &mut Suite) {
    suite.add_unless(reason_to_skip(), |suite| {
        suite.add_standalone("full_disk::loses_no_metric_and_no_log_record", stores);
        suite.add_standalone("full_disk::loses_no_span", jaeger);
    });
}

/// Returns why this machine cannot give a process a file system of its own, or `None` if it can.
fn reason_to_skip() -> Option<String> {
    let check = || {
        let disks = Disks::mount(&["disk"])?;
        let status = disks.run("true").status()?;
        ensure!(status.success(), "nsenter failed: {status}");
        Ok(())
    };
    check().err().map(|error| format!("cannot mount a file system: {error:#}"))
}

/// The disks of both stores become full while orders are served, and get space again. All orders are stored then,
/// including those that were served in between.
async fn stores() -> Result<()> {
    let disks = Disks::mount(&STORES.map(|(store, _)| store))?;
    let mut prepared = Ok(());
    let change = |mut config: StackConfig| {
        prepared = STORES.iter().try_for_each(|(store, _)| {
            let data = format!("-storageDataPath={}/data", disks.path(store).display());
            let limit = format!("-storage.minFreeDiskSpaceBytes={LIMIT_MIB}MiB");
            disks.use_for(&mut config, store, &[&data, &limit])
        });
        config
    };
    let stack = TestStack::start(change).await;
    prepared?;
    let stack = stack?;
    let mut traffic = Traffic::start(&stack)?;
    traffic.wait_for_orders(&stack, "before").await?;

    traffic.begin_phase("the disks become full");
    for (store, _) in STORES {
        disks.fill(store, LEFT_MIB << 20)?;
    }
    wait_until_read_only(&stack, true).await?;
    serve_orders(&mut traffic, &stack, "the disks are full").await?;

    traffic.begin_phase("the disks have space");
    for (store, _) in STORES {
        disks.make_space(store)?;
    }
    wait_until_read_only(&stack, false).await?;
    traffic.wait_for_orders(&stack, "after").await?;
    let sent = traffic.stop().await?;
    wait_until_all_stored(&stack, &sent).await?;
    stack.stop().await
}

/// Waits until both stores report that they accept no data (`true`), or that they accept data again (`false`).
async fn wait_until_read_only(stack: &TestStack, expected: bool) -> Result<()> {
    let check = async || {
        for (store, metric) in STORES {
            let page = stack.metrics_page(stack.inner().ports().number(store, "http")?).await?;
            let is_read_only = Samples::parse(&page)?.sum(metric, &[]) == Some(1.0);
            ensure!(is_read_only == expected, "{metric} of {store} is {is_read_only}");
        }
        Ok(())
    };
    stack.eventually(format!("the stores are read-only: {expected}"), check).await
}

/// Badger writes to files that are mapped into memory, so Jaeger ends with SIGBUS when the disk is full. After Jaeger has
/// started again with free space, the trace of each order is complete.
async fn jaeger() -> Result<()> {
    let disks = Disks::mount(&[JAEGER])?;
    let mut prepared = Ok(());
    let change = |mut config: StackConfig| {
        prepared = disks.use_for(&mut config, JAEGER, &[]);
        config.with(JAEGER, "SIGHTLINE_BADGER_DIR", disks.path(JAEGER).join("data").display().to_string())
    };
    let stack = TestStack::start(change).await;
    prepared?;
    let mut stack = stack?;
    let mut traffic = Traffic::start(&stack)?;
    traffic.wait_for_orders(&stack, "before").await?;

    traffic.begin_phase("the disk becomes full");
    disks.fill(JAEGER, 0)?;
    let metrics = stack.inner().ports().number(JAEGER, "metrics")?;
    let check = async || {
        ensure!(stack.metrics_page(metrics).await.is_err(), "Jaeger serves its metrics");
        Ok(())
    };
    stack.eventually("Jaeger has ended", check).await?;
    let exit = stack.inner_mut().kill_process(JAEGER).await?;
    ensure!(exit.is_some_and(|status| status.code() == Some(2)), "Jaeger ended with {exit:?}");
    serve_orders(&mut traffic, &stack, "without Jaeger").await?;
    // Kubernetes starts Jaeger again while the disk is full. Jaeger ends during the start, or soon after it.
    traffic.begin_phase("Jaeger starts on the full disk");
    let _ = stack.start_processes(&[JAEGER]).await;
    stack.inner_mut().kill_process(JAEGER).await?;

    traffic.begin_phase("Jaeger starts");
    disks.make_space(JAEGER)?;
    stack.start_processes(&[JAEGER]).await?;
    traffic.wait_for_orders(&stack, "after").await?;
    traffic.finish(stack).await
}

/// Small file systems in memory, in a mount namespace of their own. The kernel removes them when the namespace ends.
struct Disks {
    /// The process that keeps the namespace until its standard input is closed.
    holder: Child,
    /// The mount points. Outside the namespace, they are empty directories.
    directory: TempDir,
}

/// The size of a file system.
const SIZE_MIB: u64 = 64;

impl Disks {
    /// Mounts a file system for each name. Fails if this user must not create namespaces, or if the system has none.
    fn mount(names: &[&str]) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let script = format!(
            "for disk do mount -t tmpfs -o size={SIZE_MIB}m none \"$disk\" || exit; done; echo ready; exec cat"
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "--map-root-user", "sh", "-c", &script, "sh"]);
        for name in names {
            fs::create_dir(directory.path().join(name))?;
            command.arg(directory.path().join(name));
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut disks = Self { holder: command.spawn().context("cannot run unshare")?, directory };
        let mut line = String::new();
        BufReader::new(disks.holder.stdout.as_mut().context("no output")?).read_line(&mut line)?;
        if line != "ready\n" {
            let errors = std::io::read_to_string(disks.holder.stderr.take().context("no errors")?)?;
            anyhow::bail!("{}", errors.trim());
        }
        Ok(disks)
    }

    /// Returns a command that runs in the namespace. A program that it executes keeps the process ID.
    fn run(&self, program: &str) -> Command {
        let target = format!("--target={}", self.holder.id());
        let mut command = Command::new("nsenter");
        command.args([&target, "--user", "--mount", "--preserve-credentials", program]);
        command
    }

    /// Returns the mount point of a file system.
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Lets a process of the stack run in the namespace, with additional arguments.
    fn use_for(&self, config: &mut StackConfig, process: &str, arguments: &[&str]) -> Result<()> {
        let spec = config.spec.processes().iter().find(|spec| spec.name.name() == process);
        let spec = spec.with_context(|| format!("no process {process}"))?;
        let program = config.binaries.path(spec).context("the process has no program")?.canonicalize()?;
        let enter = self.run("sh");
        let enter: Vec<_> = enter.get_args().map(|argument| argument.to_string_lossy()).collect();
        // A process that enters a mount namespace gets the root as its working directory.
        let text = format!(
            "#!/bin/sh\nexec nsenter {} -c 'cd \"$1\" && shift && exec \"$@\"' sh \"$PWD\" {} \"$@\" {}\n",
            enter.join(" "),
            program.display(),
            arguments.join(" ")
        );
        let script = self.path(&format!("{process}.sh"));
        fs::write(&script, text)?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        config.binaries.tools.insert(process.to_owned(), script);
        Ok(())
    }

    /// Returns the path of the file that fills a file system, as this process sees it.
    fn filler(&self, name: &str) -> Result<PathBuf> {
        let root = format!("/proc/{}/root", self.holder.id());
        Ok(Path::new(&root).join(self.path(name).strip_prefix("/")?).join("filler"))
    }

    /// Writes a file until at most `left` bytes of the file system are free.
    fn fill(&self, name: &str, left: u64) -> Result<()> {
        let path = self.filler(name)?;
        let mut file = File::create(&path).with_context(|| path.display().to_string())?;
        loop {
            let space = rustix::fs::fstatvfs(&file)?;
            if space.f_bavail * space.f_frsize <= left {
                return Ok(());
            }
            // The last block can be larger than the space that is left.
            match file.write_all(&[0; 4096]) {
                Err(error) if error.kind() != std::io::ErrorKind::StorageFull => return Err(error.into()),
                _ => {}
            }
        }
    }

    /// Deletes the file that [`fill`](Self::fill) has written.
    fn make_space(&self, name: &str) -> Result<()> {
        Ok(fs::remove_file(self.filler(name)?)?)
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        // The process ends because its input is closed. If waiting fails, there is nothing left to do.
        let _ = self.holder.wait();
    }
}
