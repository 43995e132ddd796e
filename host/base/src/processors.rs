//! The number of processors that this process may use, in a container too.

use std::fs;
use std::path::Path;

use rustix::thread::sched_getaffinity;

/// The number of processors: those that the process may run on, but no more than the quota of its control group allows.
///
/// A quota is a share of time, and so need not be a whole number: with 1.5 processors two threads use all of it, and one would
/// leave a third. `std::thread::available_parallelism` rounds down.
pub fn available() -> usize {
    let allowed = sched_getaffinity(None).map_or(1, |processors| processors.count() as usize);
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let quota = quota(Path::new("/sys/fs/cgroup"), &groups);
    allowed.min(quota.unwrap_or(usize::MAX)).max(1)
}

/// The smallest quota of the process's control groups and those above them, rounded up. `groups` is the content of
/// `/proc/self/cgroup`, and `root` is where control groups are mounted.
fn quota(root: &Path, groups: &str) -> Option<usize> {
    let quotas = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        match controllers {
            // Version 2.
            "" => smallest(root, path, version_2),
            // Version 1, where each controller has a hierarchy of its own.
            _ if controllers.split(',').any(|controller| controller == "cpu") => {
                smallest(&root.join(controllers), path, version_1)
                    .into_iter()
                    .chain(smallest(&root.join("cpu"), path, version_1))
                    .min()
            }
            _ => None,
        }
    });
    quotas.min()
}

/// The smallest quota on the way from a group up to the root. Inside a container the path may be that of the machine, and none
/// of it is there but the root, which is the container's own group.
fn smallest(root: &Path, path: &str, read: impl Fn(&Path) -> Option<(u64, u64)>) -> Option<usize> {
    let group = root.join(path.trim_start_matches('/'));
    let groups = group.ancestors().take_while(|group| group.starts_with(root));
    let quotas = groups.filter_map(read);
    let processors = quotas
        .filter(|(_, period)| *period > 0)
        .map(|(quota, period)| quota.div_ceil(period));
    processors
        .min()
        .map(|processors| usize::try_from(processors).unwrap_or(usize::MAX))
}

/// Time in a period, both in microseconds: `cpu.max` has both, or `max` for as much as there is.
fn version_2(group: &Path) -> Option<(u64, u64)> {
    let text = fs::read_to_string(group.join("cpu.max")).ok()?;
    let (quota, period) = text.trim().split_once(' ')?;
    Some((quota.parse().ok()?, period.parse().ok()?))
}

/// The same in two files; -1 is as much as there is.
fn version_1(group: &Path) -> Option<(u64, u64)> {
    let read = |name| fs::read_to_string(group.join(name)).ok()?.trim().parse().ok();
    Some((read("cpu.cfs_quota_us")?, read("cpu.cfs_period_us")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Groups(tempfile::TempDir);

    impl Groups {
        fn new(files: &[(&str, &str)]) -> Groups {
            let directory = tempfile::tempdir().expect("a temporary directory can be made");
            for (path, content) in files {
                let path = directory.path().join(path);
                fs::create_dir_all(path.parent().expect("it is in a directory")).expect("it is writable");
                fs::write(path, content).expect("it is writable");
            }
            Groups(directory)
        }

        fn quota(&self, groups: &str) -> Option<usize> {
            quota(self.0.path(), groups)
        }
    }

    #[test]
    fn quota_of_version_2_is_rounded_up() {
        for (max, expected) in [
            ("150000 100000\n", Some(2)),
            ("100000 100000\n", Some(1)),
            ("20000 100000\n", Some(1)),
            ("max 100000\n", None),
            ("nonsense", None),
        ] {
            let groups = Groups::new(&[("cpu.max", max)]);
            assert_eq!(groups.quota("0::/\n"), expected, "{max}");
        }
    }

    #[test]
    fn smallest_quota_on_the_way_to_the_root_counts() {
        let groups = Groups::new(&[
            ("system.slice/cpu.max", "200000 100000"),
            ("system.slice/pace.service/cpu.max", "800000 100000"),
        ]);
        assert_eq!(groups.quota("0::/system.slice/pace.service\n"), Some(2));
        assert_eq!(groups.quota("0::/elsewhere\n"), None);
    }

    #[test]
    fn quota_of_version_1_is_found_below_either_name_of_its_hierarchy() {
        for directory in ["cpu,cpuacct", "cpu"] {
            let groups = Groups::new(&[
                (&format!("{directory}/cpu.cfs_quota_us"), "250000\n"),
                (&format!("{directory}/cpu.cfs_period_us"), "100000\n"),
                (&format!("{directory}/free/cpu.cfs_quota_us"), "-1\n"),
                (&format!("{directory}/free/cpu.cfs_period_us"), "100000\n"),
            ]);
            let lines = "12:pids:/docker/1\n4:cpu,cpuacct:/docker/1\n0::/\n";
            assert_eq!(groups.quota(lines), Some(3));
            assert_eq!(groups.quota("4:cpu,cpuacct:/free\n"), Some(3));
        }
    }

    #[test]
    fn there_is_a_processor_for_this_process() {
        assert!((1..=4096).contains(&available()));
    }
}
