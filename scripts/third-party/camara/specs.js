'use strict';
// CAMARA's OpenAPI files: which operation a request is, the errors that each names, and whether a body fits its schema.

const fs = require('node:fs');
const path = require('node:path');
const Ajv = require('ajv');
const addFormats = require('ajv-formats');
const yaml = require('yaml');

const FILES = {
  billing: 'carrier-billing-r3.2.yaml',
  refund: 'carrier-billing-refund-r3.2.yaml',
  simSwap: 'sim-swap-r3.3.yaml',
  tenure: 'kyc-tenure-r2.2.yaml',
};

class Spec {
  constructor(name, folder) {
    this.name = name;
    this.file = path.join(folder, FILES[name]);
    this.document = yaml.parse(fs.readFileSync(this.file, 'utf8'));
    // '{apiRoot}/carrier-billing/v0.5'
    this.base = this.document.servers[0].url.replace('{apiRoot}', '');
    this.operations = Object.entries(this.document.paths).flatMap(([route, item]) =>
      ['get', 'post'].filter((method) => item[method]).map((method) => operation(route, method, item[method])),
    );
    const ajv = new Ajv({ strict: false, allErrors: true, logger: false });
    addFormats(ajv);
    ajv.addSchema({ $id: FILES[name], ...this.document });
    this.validator = (place) => ajv.compile({ $ref: `${FILES[name]}#/${place}` });
  }

  /** The operation of a request below the base, with the parameters in its path. Nothing, if the file has none. */
  match(method, route) {
    for (const operation of this.operations.filter((each) => each.method === method)) {
      const parameters = operation.pattern.exec(route)?.groups;
      if (operation.pattern.test(route)) return { ...operation, parameters: { ...parameters } };
    }
    return undefined;
  }

  /** Every example of an error that the file has for an operation: { status, example, code, message }. */
  errors(operationId) {
    const { responses } = this.operations.find(({ id }) => id === operationId);
    return Object.entries(responses).flatMap(([status, response]) => {
      const { content } = this.resolve(response);
      const examples = content?.['application/json']?.examples ?? {};
      return Object.entries(examples)
        .filter(() => Number(status) >= 400)
        .map(([example, { value }]) => ({ status: Number(status), example, ...value }));
    });
  }

  /** What is wrong with the JSON body of an answer, where the file describes one. */
  problemsOfAnswer({ id, responses }, status, body) {
    const schema = this.resolve(responses[status] ?? {}).content?.['application/json']?.schema;
    if (!schema) return [`${id}: the file has no body for ${status}`];
    if (schema.$ref) return this.problems(schema.$ref.slice('#/'.length), body);
    return [];
  }

  /** What is wrong with an event. */
  problemsOfEvent(event) {
    const place = this.document.components.schemas.CloudEvent.discriminator.mapping[event.type];
    if (!place) return [`an event of the type ${event.type}, which the file does not have`];
    return this.problems(place.slice('#/'.length), event);
  }

  /** What is wrong with a value. A schema with a discriminator is followed to the one that the value names. */
  problems(place, value) {
    const validate = this.validator(place);
    const wrong = validate(value) ? [] : validate.errors.map((error) => `${place}${error.instancePath} ${error.message}`);
    const { discriminator } = this.resolve({ $ref: `#/${place}` });
    const next = discriminator?.mapping[value?.[discriminator.propertyName]]?.slice('#/'.length);
    return next && next !== place ? [...wrong, ...this.problems(next, value)] : wrong;
  }

  resolve(node) {
    if (!node.$ref) return node;
    const steps = node.$ref.slice('#/'.length).split('/');
    return this.resolve(steps.reduce((inner, step) => inner[step], this.document));
  }
}

function operation(route, method, { operationId, responses }) {
  const pattern = new RegExp(`^${route.replace(/\{(\w+)\}/g, '(?<$1>[^/]+)')}$`);
  // A path that is written out goes before one with a parameter: /payments/prepare before /payments/{paymentId}.
  return { id: operationId, method: method.toUpperCase(), route, pattern, responses };
}

/** All files, by name. */
function readSpecs(folder) {
  const specs = Object.keys(FILES).map((name) => new Spec(name, folder));
  for (const { operations } of specs) operations.sort((a, b) => a.route.includes('{') - b.route.includes('{'));
  return Object.fromEntries(specs.map((spec) => [spec.name, spec]));
}

module.exports = { readSpecs };
