import { demoAttribute, demoCluster } from '../../base/index.ts';
import { attributes, type Resource } from '../otlp/json.ts';
import type { Random } from './random.ts';

// The shop: who there is. Six services in two namespaces, each with two pods on three nodes.

export const serviceNames = ['storefront', 'catalog', 'cart', 'checkout', 'payment', 'fraud-check'] as const;
export type ServiceName = (typeof serviceNames)[number];

interface Service {
  readonly namespace: 'shop' | 'payments';
  readonly language: 'nodejs' | 'go' | 'java' | 'dotnet' | 'python';
  readonly sdkVersion: string;
  readonly version: string;
  readonly port: number;
  /** CPU in cores and memory in MiB when it is quiet, and the memory limit. */
  readonly cpu: number;
  readonly memoryMiB: number;
  readonly memoryLimitMiB: number;
}

export const services: { readonly [S in ServiceName]: Service } = {
  storefront: {
    namespace: 'shop',
    language: 'nodejs',
    sdkVersion: '2.2.0',
    version: '5.12.0',
    port: 8080,
    cpu: 0.21,
    memoryMiB: 180,
    memoryLimitMiB: 512,
  },
  catalog: {
    namespace: 'shop',
    language: 'go',
    sdkVersion: '1.39.0',
    version: '3.4.1',
    port: 8081,
    cpu: 0.12,
    memoryMiB: 48,
    memoryLimitMiB: 128,
  },
  cart: {
    namespace: 'shop',
    language: 'java',
    sdkVersion: '1.57.0',
    version: '2.0.7',
    port: 8082,
    cpu: 0.15,
    memoryMiB: 410,
    memoryLimitMiB: 768,
  },
  checkout: {
    namespace: 'shop',
    language: 'dotnet',
    sdkVersion: '1.14.0',
    version: '4.1.3',
    port: 8083,
    cpu: 0.1,
    memoryMiB: 120,
    memoryLimitMiB: 256,
  },
  payment: {
    namespace: 'payments',
    language: 'java',
    sdkVersion: '1.57.0',
    version: '7.8.2',
    port: 8443,
    cpu: 0.14,
    memoryMiB: 380,
    memoryLimitMiB: 768,
  },
  'fraud-check': {
    namespace: 'payments',
    language: 'python',
    sdkVersion: '1.39.0',
    version: '2.3.0',
    port: 8000,
    cpu: 0.32,
    memoryMiB: 290,
    memoryLimitMiB: 512,
  },
};

export interface Pod {
  readonly service: ServiceName;
  readonly name: string;
  readonly uid: string;
  readonly node: string;
  readonly replicaSet: string;
  /** What its SDK sends. */
  readonly resource: Resource;
  /** What the cluster's own agents know of it: no SDK there. */
  readonly podResource: Resource;
}

export const nodes = ['node-a', 'node-b', 'node-c'] as const;
/** Marks all that the demo sends, so that it can be told apart and cleared; its cluster is no other's, whoever takes it in. */
export const demoMark = {
  [demoAttribute]: true,
  'cluster.name': demoCluster,
  'k8s.cluster.name': demoCluster,
} as const;

/** The pods of one run: other names each time, so that two runs are not one series. */
export function createPods(random: Random): { readonly [S in ServiceName]: readonly [Pod, Pod] } {
  let placed = 0;
  const pods = (service: ServiceName): [Pod, Pod] => {
    const replicaSet = `${service}-${random.hex(5)}`;
    const create = () => createPod(service, replicaSet, nodes[placed++ % nodes.length]!, random);
    return [create(), create()];
  };
  return {
    storefront: pods('storefront'),
    catalog: pods('catalog'),
    cart: pods('cart'),
    checkout: pods('checkout'),
    payment: pods('payment'),
    'fraud-check': pods('fraud-check'),
  };
}

function createPod(service: ServiceName, replicaSet: string, node: string, random: Random): Pod {
  const { namespace, language, sdkVersion, version } = services[service];
  const name = `${replicaSet}-${random.hex(3).slice(0, 5)}`;
  const uid = random.uuid();
  const kubernetes = {
    'k8s.namespace.name': namespace,
    'k8s.pod.name': name,
    'k8s.pod.uid': uid,
    'k8s.node.name': node,
    'k8s.deployment.name': service,
    'k8s.replicaset.name': replicaSet,
  };
  return {
    service,
    name,
    uid,
    node,
    replicaSet,
    resource: {
      attributes: attributes({
        'service.name': service,
        'service.namespace': namespace,
        'service.version': version,
        'service.instance.id': uid,
        'deployment.environment.name': 'demo',
        'telemetry.sdk.name': 'opentelemetry',
        'telemetry.sdk.language': language,
        'telemetry.sdk.version': sdkVersion,
        ...kubernetes,
        'k8s.container.name': service,
        ...demoMark,
      }),
    },
    podResource: { attributes: attributes({ ...kubernetes, ...demoMark }) },
  };
}
