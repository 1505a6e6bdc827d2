import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { run } from '../cluster/kit/kubernetes.ts';
import { repository } from '../kit/documents.ts';
import { temporaryFolder } from '../kit/process.ts';

// k8s/scripts without a cluster: how they are called, and what they reckon. Against a cluster: test/cluster/scripts.test.ts.

const scripts = join(repository, 'k8s/scripts');
const program = (name: string) => ['/usr/bin', '/bin'].map((folder) => join(folder, name)).find(existsSync);
// macOS has a bash of 2007 as its sh, Debian dash, Alpine busybox.
const shells = ['sh', 'bash', 'busybox'].filter((name) => program(name) !== undefined);
const inShell = (shell: string, script: string, ...args: readonly string[]) =>
  run(shell, [...(shell === 'busybox' ? ['sh'] : []), join(scripts, script), ...args]);

describe.each(shells)('in %s', (shell) => {
  it.each(['install.sh', 'uninstall.sh'])('%s --help says what there is, on stdout', async (script) => {
    const { code, stdout, stderr } = await inShell(shell, script, '--help');
    expect(stderr).toBe('');
    expect(stdout).toContain('Exit codes: 0 fine, 1 found a problem, 2 wrong usage, 3 the cluster does not answer.');
    expect(code).toBe(0);
  });

  it.each([
    { script: 'install.sh', args: '--clustername x', says: 'there is no option --clustername' },
    { script: 'install.sh', args: 'everything', says: 'there is no option everything' },
    { script: 'install.sh', args: '--namespace', says: '--namespace needs a value' },
    { script: 'install.sh', args: '--region=', says: '--region needs a value' },
    { script: 'install.sh', args: '--yes=no', says: '--yes takes no value' },
    { script: 'install.sh', args: '--size huge', says: '--size is small, medium or large, not huge' },
    { script: 'install.sh', args: '--profile=tiny', says: '--profile is full or embedded, not tiny' },
    { script: 'install.sh', args: '--set backend.replicas', says: '--set takes KEY=VALUE, not backend.replicas' },
    { script: 'install.sh', args: '--values no-such.yaml', says: 'there is no file no-such.yaml' },
    { script: 'install.sh', args: '--timeout soon', says: '--timeout takes a time such as 90s, 10m or 1h, not soon' },
    { script: 'install.sh', args: '--timeout 1m30s', says: '--timeout takes a time such as 90s, 10m or 1h, not 1m30s' },
    { script: 'uninstall.sh', args: '--purge', says: 'there is no option --purge' },
    { script: 'uninstall.sh', args: '--volumes', says: 'removing data needs --yes where nobody can be asked' },
    { script: 'uninstall.sh', args: '--delete-namespace', says: 'removing data needs --yes' },
    {
      script: 'uninstall.sh',
      args: '--namespace kube-system --delete-namespace --yes',
      says: 'kube-system is not for this to remove',
    },
  ])('$script $args is wrong usage', async ({ script, args, says }) => {
    const { code, stdout, stderr } = await inShell(shell, script, ...args.split(' '));
    expect(stderr).toContain(says);
    expect([code, stdout]).toEqual([2, '']);
  });

  it.each([
    { time: '45', seconds: '45' },
    { time: '90s', seconds: '90' },
    { time: '10m', seconds: '600' },
    { time: '2h', seconds: '7200' },
    { time: 'm', seconds: '' },
    { time: '5d', seconds: '' },
  ])('takes $time for "$seconds" seconds', async ({ time, seconds }) => {
    expect(await call(shell, `seconds ${time} || :`, '')).toBe(seconds);
  });

  it.each([
    { version: 'v1.19.0', number: '1019' },
    { version: 'v1.31.2-gke.1234', number: '1031' },
    { version: 'v1.27+', number: '1027' },
  ])('reads $version', async ({ version, number }) => {
    expect(await call(shell, `version_number ${version}`, '')).toBe(number);
  });

  // `cpu memory` of a node, then of what runs there; then `kind replicas cpu memory` of what is asked for.
  it.each([
    { name: 'fits', nodes: ['a 4 8Gi'], asked: ['web 2 500m 1Gi'], outcome: 'total 1000 2048|free 4000 8192 1' },
    {
      name: 'what others have asked for is not free',
      nodes: ['a 4 8Gi'],
      taken: ['a 3500m 512Mi'],
      asked: ['web 2 500m 1Gi'],
      outcome: 'total 1000 2048|free 500 7680 1|short web 500 1024',
    },
    {
      name: 'enough in all, and too little on each node',
      nodes: ['a 4 4Gi', 'b 4 4Gi'],
      asked: ['store 1 1 6Gi'],
      outcome: 'total 1000 6144|free 8000 8192 2|short store 1000 6144',
    },
    {
      name: 'the largest is placed first',
      nodes: ['a 4 4Gi', 'b 4 2Gi'],
      asked: ['small 1 1 2Gi', 'large 1 1 4Gi'],
      outcome: 'total 2000 6144|free 8000 6144 2',
    },
    {
      name: 'a node that takes no pods takes those of the DaemonSet only',
      nodes: ['a 2 4Gi no', 'b 2 4Gi'],
      asked: ['@agent 1 200m 256Mi', 'web 1 2 1Gi'],
      outcome: 'total 2400 1536|free 2000 4096 1|short web 2000 1024',
    },
    {
      name: 'quantities of all kinds',
      nodes: ['a 0.5 1048576Ki', 'b 1500m 1073741824'],
      asked: ['web 1 0.25 536870912'],
      outcome: 'total 250 512|free 2000 2048 2',
    },
    {
      name: 'nothing asked for by some containers',
      nodes: ['a 1 1Gi'],
      asked: ['web 1 100m, 64Mi,'],
      outcome: 'total 100 64|free 1000 1024 1',
    },
    {
      name: 'a port that is taken',
      nodes: ['a 1 1Gi'],
      taken: ['a 100m 1Mi 4317,'],
      asked: ['@agent 1 100m 1Mi 4317,4318,'],
      outcome: 'port 4317 a team/pod|total 100 1|free 900 1023 1',
    },
  ])('room: $name', async ({ nodes, taken = [], asked, outcome }) => {
    const lines = [
      ...nodes.map((line) => `node ${line}`),
      ...taken.map((line) => `pod ${line.replace(' ', ' team/pod ')}`),
      ...asked.map((line) => `workload ${line.startsWith('@') ? 'DaemonSet' : 'Deployment'} ${line.replace('@', '')}`),
    ];
    const input = lines.map((line) => `${line.replaceAll(' ', '\t')}\n`).join('');
    expect((await call(shell, 'place', input)).replaceAll('\t', ' ').replaceAll('\n', '|')).toBe(outcome);
  });
});

// What the API server says of a pod, and what it comes down to. `Deployment web` has two pods, one of them ready.
const waiting = (reason: string, message = '') => `waiting|web|web-1|main|${reason}|app:1|"${message}"`;
const unscheduled = (message: string) => `unscheduled|web|web-1|-|Unschedulable|-|"${message}"`;
describe('a pod that is not ready', () => {
  it.each<{ name: string; pods?: string[]; refused?: string; events?: string[]; workload?: string; problem: string }>([
    { name: 'nothing is known', pods: ['running|web|web-1|main|-|app:1|'], problem: '' },
    {
      name: 'no image',
      pods: [waiting('ImagePullBackOff', 'Back-off pulling image')],
      problem: 'image web web-1 main app:1 "Back-off pulling image"',
    },
    { name: 'never pulled', pods: [waiting('ErrImageNeverPull')], problem: 'image web web-1 main app:1 ""' },
    {
      name: 'no Secret',
      pods: [waiting('CreateContainerConfigError', 'secret \\"token\\" not found')],
      problem: 'config web web-1 main app:1 "secret \\"token\\" not found"',
    },
    {
      name: 'ends again and again',
      pods: [waiting('CrashLoopBackOff'), 'ended|web|web-1|main|Error|app:1|exit code 3'],
      problem: 'crash web web-1 main app:1 exit code 3',
    },
    {
      name: 'has ended once, and runs',
      pods: ['running|web|web-1|main|-|app:1|', 'ended|web|web-1|main|Error|app:1|exit code 3'],
      problem: '',
    },
    {
      name: 'too little memory',
      pods: [waiting('CrashLoopBackOff'), 'ended|web|web-1|main|OOMKilled|app:1|exit code 137'],
      problem: 'memory web web-1 main app:1 exit code 137',
    },
    {
      name: 'no room',
      pods: [unscheduled('0/3 nodes are available: 1 Insufficient cpu, 2 Insufficient memory.')],
      problem: 'capacity web web-1 - - "0/3 nodes are available: 1 Insufficient cpu, 2 Insufficient memory."',
    },
    {
      name: 'a port that is taken',
      pods: [unscheduled("0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.")],
      problem: `port web web-1 - - "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."`,
    },
    {
      name: 'no volume',
      pods: [unscheduled('0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.')],
      problem: 'volume web web-1 - - "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."',
    },
    {
      name: 'a taint',
      pods: [unscheduled('0/1 nodes are available: 1 node(s) had untolerated taint {team: ml}.')],
      problem: 'nodes web web-1 - - "0/1 nodes are available: 1 node(s) had untolerated taint {team: ml}."',
    },
    {
      name: 'a mount that fails',
      pods: [waiting('ContainerCreating')],
      events: ['FailedMount|Pod|web-1|"configmap \\"rules\\" not found"'],
      problem: 'mount web web-1 - - "configmap \\"rules\\" not found"',
    },
    {
      name: 'a quota',
      refused: 'refused|web|"pods \\"web-1\\" is forbidden: exceeded quota: tight"',
      problem: 'quota web - - - "pods \\"web-1\\" is forbidden: exceeded quota: tight"',
    },
    {
      name: 'Pod Security, of a DaemonSet, by its last event',
      workload: 'DaemonSet web 1 1 2 0 0 2',
      events: [
        'FailedCreate|DaemonSet|web|"old"',
        'FailedCreate|DaemonSet|web|"violates PodSecurity \\"baseline:latest\\""',
      ],
      problem: 'podsecurity web - - - "violates PodSecurity \\"baseline:latest\\""',
    },
    {
      name: 'somebody else’s webhook',
      refused: 'refused|web|"admission webhook denied the request"',
      problem: 'refused web - - - "admission webhook denied the request"',
    },
    {
      name: 'that of a workload that is ready is none',
      workload: 'Deployment web 1 1 2 2 2 2',
      pods: [waiting('ErrImagePull')],
      problem: '',
    },
  ])('$name', async ({ pods = [], refused = '', events = [], workload = 'Deployment web 1 1 2 2 1 2', problem }) => {
    await using folder = await temporaryFolder();
    const files = { workloads: workload, pods: pods.join('\n'), refused, events: events.join('\n') };
    for (const [name, text] of Object.entries(files)) {
      const lines = text === '' ? '' : `${text}\n`;
      writeFileSync(join(folder.path, name), name === 'workloads' ? lines : lines.replaceAll('|', '\t'));
    }
    const command = `work='${folder.path}'; . "${scripts}/lib/progress.sh"; classify; cat "$work/problems"`;
    expect((await call('sh', command, '')).replaceAll('\t', ' ')).toBe(problem);
  });
});

it.each([
  { name: 'all is wrong for good', problems: 'image web', stuck: true },
  {
    name: 'one may still become ready',
    problems: 'image web\ncapacity store',
    workloads: 'Deployment store 1 1 1 1 0 1\nDeployment cache 1 1 1 1 0 1',
    stuck: false,
  },
  { name: 'waiting may mend it', problems: 'capacity web', stuck: false },
])('waiting: $name', async ({ problems, workloads = '', stuck }) => {
  await using folder = await temporaryFolder();
  writeFileSync(join(folder.path, 'problems'), `${problems.replaceAll(' ', '\t')}\n`);
  writeFileSync(
    join(folder.path, 'workloads'),
    `Deployment web 1 1 2 2 1 2\nDaemonSet agent 1 1 1 1 1 1\n${workloads}`,
  );
  const command = `work='${folder.path}'; . "${scripts}/lib/progress.sh"; if is_stuck; then echo stuck; fi`;
  expect(await call('sh', command, '')).toBe(stuck ? 'stuck' : '');
});

/** Calls a function of the scripts. @returns what it wrote, trimmed. */
async function call(shell: string, command: string, input: string): Promise<string> {
  const parts = ['talk', 'cluster', 'capacity'].map((name) => `. "${join(scripts, 'lib', name)}.sh"`);
  const script = ['set -eu', "context='' namespace=observability", ...parts, command].join('\n');
  const { code, stdout, stderr } = await run(shell, [...(shell === 'busybox' ? ['sh'] : []), '-c', script], { input });
  expect([code, stderr]).toEqual([0, '']);
  return stdout.trim();
}

it('says where kubectl is had, where there is none', async () => {
  await using folder = await temporaryFolder();
  const bin = join(folder.path, 'bin');
  mkdirSync(bin);
  for (const name of ['sh', 'dirname', 'mktemp', 'rm', 'cat', 'sed', 'awk', 'grep']) {
    const path = program(name);
    if (path !== undefined) symlinkSync(path, join(bin, name));
  }
  const { code, stderr } = await run('env', [`PATH=${bin}`, join(scripts, 'install.sh')]);
  expect(stderr).toContain('kubectl is not there');
  expect(code).toBe(1);
});

it.skipIf(program('shellcheck') === undefined)('shellcheck finds nothing', async () => {
  const library = readdirSync(join(scripts, 'lib')).map((name) => `lib/${name}`);
  const files = ['install.sh', 'uninstall.sh', ...library].map((name) => join(scripts, name));
  const { stdout } = await run('shellcheck', ['-x', '-P', scripts, ...files]);
  expect(stdout).toBe('');
});
