//! One process, from its start to its end, and what it used.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeVal;
use nix::unistd::Pid;
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::output::Result;
use crate::runtime_api::{Did, RuntimeApi};
use crate::subjects::Subject;
use crate::world::{CURSOR_KEY, TABLE, World};

/// How long a process may take until its next step. An instrumented Python is slow.
const PATIENCE: Duration = Duration::from_secs(300);

/// How a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Without changes.
    Plainly,
    /// Under callgrind, which counts every instruction.
    Counted,
    /// With 7% of a CPU from the first request on, as Lambda gives to 128 MB.
    Throttled,
}

/// What a process used.
#[derive(Debug)]
pub struct Took {
    /// Instructions, if they were counted.
    pub instructions: u64,
    /// CPU time, of all its threads.
    pub cpu: Duration,
    /// Its peak memory, in KiB.
    pub memory: u64,
    /// Connections to DynamoDB.
    pub connections: usize,
    /// Requests to DynamoDB.
    pub requests: usize,
    /// Bytes that it logged.
    pub logged: u64,
    /// From its start until it asked for an event.
    pub start: Duration,
    /// From each event to its answer.
    pub answers: Vec<Duration>,
}

/// The environment variables that Lambda and `template.yaml` set.
fn settings(world: &World, subject: &Subject, api: &RuntimeApi) -> Vec<(String, String)> {
    // As long as the credentials of a role.
    let token = "IQoJb3JpZ2luX2VjE".repeat(50);
    let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut settings = vec![
        set("PATH", "/usr/local/bin:/usr/bin:/bin"),
        set("LANG", "en_US.UTF-8"),
        set("TZ", ":UTC"),
        set("AWS_LAMBDA_RUNTIME_API", &api.address.to_string()),
        set("AWS_LAMBDA_FUNCTION_NAME", subject.name),
        set("AWS_LAMBDA_FUNCTION_VERSION", "1"),
        set("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        set("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        set("AWS_LAMBDA_LOG_FORMAT", "JSON"),
        set("AWS_LAMBDA_LOG_LEVEL", "INFO"),
        set("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/bench"),
        set("AWS_LAMBDA_LOG_STREAM_NAME", "2026/01/02/[1]8476a536e9f411e897398476a536e9f4"),
        set("_HANDLER", "bootstrap"),
        set("LAMBDA_TASK_ROOT", &subject.folder.display().to_string()),
        set("AWS_REGION", "eu-central-1"),
        set("AWS_DEFAULT_REGION", "eu-central-1"),
        set("AWS_ACCESS_KEY_ID", "ASIAIOSFODNN7EXAMPLE"),
        set("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        set("AWS_SESSION_TOKEN", &token),
        set("RATCHET_TABLE", TABLE),
        set("AWS_ENDPOINT_URL_DYNAMODB", &world.endpoint),
        set("AWS_ENDPOINT_URL_EVENTBRIDGE", &world.endpoint),
    ];
    if ["list_executions", "list_steps"].contains(&subject.name) {
        settings.push(set("RATCHET_CURSOR_KEY", CURSOR_KEY));
    }
    if subject.name == "publish_events" {
        settings.push(set("RATCHET_EVENT_BUS", "default"));
    }
    let file = |path: &Path| path.display().to_string();
    for (name, value) in subject.settings {
        let material = &world.material;
        let files = [("{functions}", &material.functions), ("{system}", &material.system), ("{root}", &material.root)];
        let value = files.iter().fold((*value).to_owned(), |value, (name, path)| value.replace(name, &file(path)));
        settings.push(set(name, &value));
    }
    settings
}

/// A control group that limits a process to 7% of a CPU. Removed when dropped.
#[derive(Debug)]
pub struct SlowGroup(PathBuf);

impl SlowGroup {
    /// Creates one, if this machine and this user can.
    pub fn new() -> Result<Self> {
        let name = format!("ratchet-bench-{}", std::process::id());
        let old = Path::new("/sys/fs/cgroup/cpu");
        // A slice of 1.4 ms in every 20 ms.
        let (path, limits): (_, &[(&str, &str)]) = if old.is_dir() {
            (old.join(name), &[("cpu.cfs_period_us", "20000"), ("cpu.cfs_quota_us", "1400")])
        } else {
            (Path::new("/sys/fs/cgroup").join(name), &[("cpu.max", "1400 20000")])
        };
        std::fs::create_dir(&path)?;
        let group = Self(path);
        for (file, value) in limits {
            std::fs::write(group.0.join(file), value)?;
        }
        Ok(group)
    }

    fn take(&self, pid: u32) -> Result<()> {
        Ok(std::fs::write(self.0.join("cgroup.procs"), pid.to_string())?)
    }
}

impl Drop for SlowGroup {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// CPU time of the children that have ended.
fn children_cpu() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = |time: TimeVal| time.tv_sec() * 1_000_000 + time.tv_usec();
    Ok(Duration::from_micros(u64::try_from(micros(usage.user_time()) + micros(usage.system_time()))?))
}

/// The CPU time of the threads of a process, in nanoseconds, and whether all of them sleep.
fn activity(pid: u32) -> Result<(u64, bool)> {
    let (mut run, mut asleep) = (0, true);
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let thread = thread?.path();
        let schedule = std::fs::read_to_string(thread.join("schedstat"))?;
        run += schedule.split(' ').next().unwrap_or_default().parse::<u64>()?;
        let stat = std::fs::read_to_string(thread.join("stat"))?;
        // The state follows the name, which may contain any character.
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        asleep &= state == Some('S');
    }
    Ok((run, asleep))
}

/// Waits until all threads of a process sleep: after it has asked for an event, it still runs for a moment.
async fn settle(pid: u32) {
    let mut last = None;
    for _ in 0..100 {
        let now = activity(pid).ok().filter(|(_, asleep)| *asleep);
        if now.is_some() && now == last {
            return;
        }
        last = now;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn high_water(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// The sum that callgrind writes at the end.
fn instructions(file: &Path) -> Result<u64> {
    let text = std::fs::read_to_string(file)?;
    let mut sums = text.lines().filter_map(|line| line.strip_prefix("totals: "));
    // If there were several parts, each would have a sum, and none would be the total.
    match (sums.next(), sums.next()) {
        (Some(sum), None) => Ok(sum.trim().parse()?),
        _ => Err(format!("{} has not one sum", file.display()).into()),
    }
}

fn is_expected(answer: &Value, status: u16) -> bool {
    // The authorizer says whether the key is known, a pass of supervision whether it got through, and what reads the stream what
    // was not done.
    let all_told = answer["batchItemFailures"].as_array().is_some_and(Vec::is_empty);
    let done = answer["isAuthorized"] == true || answer["complete"] == true || all_told;
    answer["statusCode"].as_u64().map_or(done, |got| got == u64::from(status))
}

/// The next action of a process. An error if it ends.
async fn did(api: &mut RuntimeApi, child: &mut Child, log: &Path) -> Result<Did> {
    let with_log = |what: String| {
        let log = std::fs::read_to_string(log).unwrap_or_default();
        format!("{what}; its log:\n{}", log.chars().take(4_000).collect::<String>())
    };
    tokio::select! {
        did = api.did.recv() => match did.ok_or("the Runtime API is gone")? {
            Did::Failed(error) => Err(with_log(format!("the process failed: {error}")).into()),
            did => Ok(did),
        },
        ended = child.wait() => Err(with_log(format!("the process ended: {}", ended?)).into()),
        () = tokio::time::sleep(PATIENCE) => Err(with_log("the process does nothing".to_owned()).into()),
    }
}

/// Runs a subject for some invocations, then ends it, always at the same point: asleep, with a request for another event.
pub async fn run(world: &World, subject: &Subject, folder: &Path, how: How, invocations: usize) -> Result<Took> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| format!("{}: {error}", subject.name);
    run_inner(world, subject, folder, how, invocations).await.map_err(|error| failed(error).into())
}

async fn run_inner(world: &World, subject: &Subject, folder: &Path, how: How, invocations: usize) -> Result<Took> {
    let expected = world.case(subject.work.event)?.status;
    let items = world.prepare(&subject.work).await?;
    let mut api = RuntimeApi::start(world.event(subject.work.event)?).await?;
    let slow = if how == How::Throttled { Some(SlowGroup::new()?) } else { None };
    let log = folder.join(format!("{}.log", subject.name));
    let profile = folder.join(format!("{}.callgrind", subject.name));
    let _ = std::fs::remove_file(&profile);
    let (program, arguments) = subject.command.split_first().ok_or("no command")?;
    let mut command = if how == How::Counted {
        let mut command = Command::new("valgrind");
        command.args(["--tool=callgrind", "--quiet"]);
        command.arg(format!("--callgrind-out-file={}", profile.display()));
        command.arg(program);
        command
    } else {
        Command::new(program)
    };
    let output = File::create(&log)?;
    command.args(arguments).current_dir(&subject.folder).env_clear().envs(settings(world, subject, &api));
    if how == How::Counted {
        command.env("LD_PRELOAD", &world.slow_clock);
    }
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).kill_on_drop(true);
    world.counts.take();
    let cpu = children_cpu()?;

    let begun = Instant::now();
    let mut child = command.spawn().map_err(|error| format!("{} does not start: {error}", program.display()))?;
    let pid = child.id().ok_or("a process without an id")?;
    let mut start = None;
    let mut answers = Vec::new();
    for invocation in 0..=invocations {
        let Did::Asked(at) = did(&mut api, &mut child, &log).await? else { return Err("asked for nothing".into()) };
        start.get_or_insert(at - begun);
        if invocation == invocations {
            break;
        }
        world.restore(&items).await?;
        if let (0, Some(slow)) = (invocation, &slow) {
            slow.take(pid)?;
        }
        let given = Instant::now();
        api.give();
        let Did::Answered(at, answer) = did(&mut api, &mut child, &log).await? else {
            return Err("did not answer".into());
        };
        if !is_expected(&answer, expected) {
            return Err(format!("the answer is not a {expected}: {answer}").into());
        }
        answers.push(at - given);
    }
    settle(pid).await;
    let memory = high_water(pid)?;
    let logged = std::fs::metadata(&log)?.len();
    let (connections, requests) = world.counts.take();
    let number = Pid::from_raw(i32::try_from(pid)?);
    kill(number, Signal::SIGTERM)?;
    tokio::time::timeout(PATIENCE, child.wait()).await??;
    let cpu = children_cpu()?.saturating_sub(cpu);
    let instructions = if how == How::Counted { instructions(&profile)? } else { 0 };
    let start = start.ok_or("never asked")?;
    Ok(Took { instructions, cpu, memory, connections, requests, logged, start, answers })
}
