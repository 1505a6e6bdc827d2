import type { Value } from './values.ts';

// values.schema.json. Draft 7, which every Helm 3 understands.

type Schema = { [key: string]: unknown };

const quantities = { type: 'object', additionalProperties: { type: ['string', 'number'] } };
const definitions: Schema = {
  resources: {
    type: 'object',
    additionalProperties: false,
    properties: { requests: quantities, limits: quantities, claims: { type: 'array', items: { type: 'object' } } },
  },
  pipeline: {
    type: ['object', 'null'],
    additionalProperties: false,
    properties: {
      receivers: { type: 'object', additionalProperties: { type: ['boolean', 'null'] } },
      processors: {
        type: 'object',
        additionalProperties: { anyOf: [{ type: ['integer', 'null'] }, { const: false }] },
      },
      exporters: { type: 'object', additionalProperties: { type: ['boolean', 'null'] } },
    },
  },
};

/** @param moved keys that the schema lets through, for the chart to say where the value is. */
export function valuesSchema(values: readonly Value[], moved: ReadonlyMap<string, string>): string {
  const pods = values.find(({ path }) => path === 'pods');
  const options = pods?.children ?? [];
  const podOptions = Object.fromEntries(options.map(({ key }) => [key, { $ref: `#/definitions/pods/${key}` }]));

  function schemaOf(value: Value): Schema {
    const { podOptions: takesPodOptions, ...hint } = value.hint;
    const head: Schema = value.comment === '' ? {} : { description: value.comment };
    if (value.children === undefined) return { ...head, ...typeOf(value), ...resolved(hint) };
    const own = propertiesOf(value.children, value.path);
    const properties = takesPodOptions === true ? { ...podOptions, ...own } : own;
    return { ...head, type: 'object', additionalProperties: false, properties };
  }
  function propertiesOf(children: readonly Value[], at: string): Schema {
    const properties: Schema = Object.fromEntries(children.map((child) => [child.key, schemaOf(child)]));
    for (const [path, now] of moved) {
      const cut = path.lastIndexOf('.');
      if (path.slice(0, Math.max(cut, 0)) === at) properties[path.slice(cut + 1)] ??= { description: `It is ${now}.` };
    }
    return properties;
  }

  const schema = {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Values of the chart k8s-infra',
    type: 'object',
    additionalProperties: false,
    properties: propertiesOf(values, ''),
    definitions: { ...definitions, pods: Object.fromEntries(options.map((option) => [option.key, schemaOf(option)])) },
  };
  return `${JSON.stringify(schema, null, 1)}\n`;
}

/** What a default value shows. */
function typeOf({ default: value, hint, path }: Value): Schema {
  if ('enum' in hint || 'type' in hint || '$ref' in hint) return {};
  if (typeof value === 'string') return { type: 'string' };
  if (typeof value === 'boolean') return { type: 'boolean' };
  if (typeof value === 'number') return { type: Number.isInteger(value) ? 'integer' : 'number' };
  if (Array.isArray(value) && 'items' in hint) return { type: 'array' };
  if (typeof value === 'object' && value !== null && 'additionalProperties' in hint) return { type: 'object' };
  throw new Error(`${path}: its default does not show what it takes; say it with # @schema`);
}

/** The hint with `$ref: resources` as a pointer. */
function resolved(hint: unknown): Schema {
  return JSON.parse(
    JSON.stringify(hint, (key, value) => (key === '$ref' ? `#/definitions/${value as string}` : (value as unknown))),
  ) as Schema;
}
