import { existsSync } from 'node:fs';
import { chmod, cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { backendProgram, backendsHome, runProgram } from '../../kit/program.ts';
import { buildBackendImage, openBuilder } from './backend-image.ts';
import { exampleImage } from './example-image.ts';

// Images of the programs that the chart names, made of this machine's own builds of them, under the chart's names: no
// registry is asked. Each has the layout that the chart relies on: entry point, working directory, user.

/** Programs by the image's repository. What is not here can't be made, and is switched off where a test installs the chart. */
const makers: Readonly<Record<string, (image: string, folder: string) => Promise<string>>> = {
  'docker.io/watchingcat/watchingcat-backend': backend,
  'docker.io/otel/opentelemetry-collector-contrib': (image, folder) => single(image, folder, 'otelcol'),
  'docker.io/jaegertracing/jaeger': (image, folder) => single(image, folder, 'jaeger'),
  'docker.io/prom/prometheus': (image, folder) => single(image, folder, 'prometheus'),
  'docker.elastic.co/elasticsearch/elasticsearch': elasticsearch,
  'docker.io/watchingcat/example-shop': exampleImage,
  'localhost/telemetrygen': (image, folder) => single(image, folder, 'telemetrygen'),
};

/**
 * Makes an image.
 * @param image   name and tag, as in a manifest.
 * @param folder  its own; what was made there already is taken.
 * @returns       a tar file that a node loads.
 * @throws Error  where nothing here can be made into it.
 */
export async function makeImage(image: string, folder: string): Promise<string> {
  const maker = makers[image.slice(0, image.lastIndexOf(':'))];
  if (maker === undefined) throw new Error(`${image}: no program of this machine can stand for it`);
  const made = join(folder, 'image.tar');
  if (existsSync(made)) return made;
  await mkdir(folder, { recursive: true });
  return maker(image, folder);
}

const shared = fileURLToPath(new URL('../../../../shared/', import.meta.url));

async function pack(image: string, folder: string, options: readonly string[]): Promise<string> {
  const out = join(folder, 'image.tar');
  const make = () => runProgram(join(shared, 'cluster/make-image'), [image, join(folder, 'root'), out, ...options]);
  // On a busy disk tar has seen a folder's time change that it was just given, and called that an error.
  await make().catch(make);
  await rm(join(folder, 'root'), { recursive: true });
  return out;
}

/** Dockerfile.backend itself. */
async function backend(image: string, folder: string): Promise<string> {
  const builder = openBuilder(folder);
  const name = await buildBackendImage(builder, image);
  const out = join(folder, 'image.tar');
  await builder.buildah('push', '--quiet', name, `docker-archive:${out}:${image}`);
  await builder.buildah('rmi', '--all', '--force');
  return out;
}

/** A static program alone. */
async function single(image: string, folder: string, program: Parameters<typeof backendProgram>[0]): Promise<string> {
  // Not at the root: `/prometheus` is where its data are mounted.
  await mkdir(join(folder, 'root/bin'), { recursive: true });
  await cp(backendProgram(program), join(folder, 'root/bin', program));
  return pack(image, folder, ['--entrypoint', `/bin/${program}`]);
}

/** Elasticsearch with a JDK, started without its shell script, which does no more than set these. */
async function elasticsearch(image: string, folder: string): Promise<string> {
  const home = join(folder, 'root/usr/share/elasticsearch');
  const installed = join(backendsHome(), 'elasticsearch');
  const version = existsSync(installed) && (await readdir(installed)).find((name) => name.startsWith('elasticsearch-'));
  if (!version) throw new Error(`${installed} is missing: shared/backends/elasticsearch/install makes it`);
  await cp(join(installed, version), home, { recursive: true });
  const script = `. "${join(shared, 'backends/elasticsearch/lib.sh')}" && find_jdk`;
  const jdk = (await runProgram('bash', ['-euc', script])).stdout.trim();
  for (const part of ['bin', 'conf', 'lib', 'release']) {
    await cp(join(jdk, part), join(home, 'jdk', part), { recursive: true, dereference: true });
  }
  for (const large of ['src.zip', 'ct.sym']) await rm(join(home, 'jdk/lib', large), { force: true });
  // What the official image has set up for user 1000.
  const options = join(home, 'config/jvm.options');
  const lines = (await readFile(options, 'utf8')).split('\n');
  const logsToFile = /^-(Xlog|XX:\+HeapDumpOnOutOfMemoryError)/;
  await writeFile(options, lines.filter((line) => !logsToFile.test(line)).join('\n'));
  await mkdir(join(home, 'data'));
  for (const writable of ['config', 'logs', 'data']) await chmod(join(home, writable), 0o777);
  const java = '/usr/share/elasticsearch/jdk/bin/java';
  const small = '-Xms4m -Xmx64m -XX:+UseSerialGC';
  const env = {
    JAVA: java,
    JAVA_TYPE: 'bundled JDK',
    ES_HOME: '/usr/share/elasticsearch',
    ES_PATH_CONF: '/usr/share/elasticsearch/config',
    ES_DISTRIBUTION_TYPE: 'docker',
    CLI_JAVA_OPTS: small,
  };
  return pack(image, folder, [
    ...['jdk/bin/java', 'jdk/lib/server/libjvm.so', 'lib/platform/linux-x64/libvec.so'].flatMap((file) => [
      '--libs-of',
      join(home, file),
    ]),
    ...Object.entries(env).flatMap(([name, value]) => ['--env', `${name}=${value}`]),
    ...['--workdir', '/usr/share/elasticsearch', '--user', '1000'],
    ...[java, ...small.split(' ')].flatMap((argument) => ['--entrypoint', argument]),
    ...['--entrypoint', '-cp', '--entrypoint', '/usr/share/elasticsearch/lib/tools/server-launcher/*'],
    ...['--entrypoint', 'org.elasticsearch.server.launcher.ServerLauncher'],
  ]);
}
