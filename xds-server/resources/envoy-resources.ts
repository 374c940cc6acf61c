/** Resources of EnvoyResources documents, and what they cannot work without: what they name on this very stream. */
import { type ProtoObject, type ProtoValue, TypeUrl } from "../../protos/index.ts";
import { createResource, type Reference, type Resource } from "../cache/index.ts";
import type { EnvoyResource } from "../config/model.ts";

const made = new WeakMap<EnvoyResource, Resource>();

/** The same object for the same document. */
export function envoyResource(source: EnvoyResource): Resource {
  const known = made.get(source);
  if (known !== undefined) return known;
  const { typeUrl, name, object, aliases, ttlMs } = source;
  const options = { aliases, ...(ttlMs === undefined ? {} : { ttlMs }) };
  const secrets = secretsIn(typeUrl, object);
  const resource = createResource(typeUrl, name, object, references(typeUrl, object), secrets, options);
  made.set(source, resource);
  return resource;
}

/** Clusters of routes are not among them: they may be static ones of an Envoy's own configuration. */
function references(typeUrl: TypeUrl, object: ProtoObject): readonly Reference[] {
  const found = new Map<string, Reference>();
  const add = (type: TypeUrl, name: ProtoValue | undefined) => {
    if (typeof name === "string" && name !== "") found.set(`${type} ${name}`, { typeUrl: type, name });
  };
  if (typeUrl === TypeUrl.scopedRoute) add(TypeUrl.route, object.route_configuration_name);
  if (typeUrl === TypeUrl.cluster && object.type === "EDS") {
    const eds = at(object, "eds_cluster_config");
    if (isAds(eds?.eds_config)) add(TypeUrl.endpoints, eds?.service_name || object.name);
  }
  walk(object, (each) => {
    const [rds, config] = [at(each, "rds"), at(each, "config_discovery")];
    if (isAds(rds?.config_source)) add(TypeUrl.route, rds?.route_config_name);
    if (isAds(config?.config_source)) add(TypeUrl.extensionConfig, each.name);
    if (isAds(each.sds_config)) add(TypeUrl.secret, each.name);
  });
  return [...found.values()];
}

/** Fields that hold what nobody may be shown, in TLS contexts that have their certificates in them. */
const SECRET_FIELDS = ["private_key", "password", "pkcs12"];

/** Texts that nobody may be shown: in a Secret all that it holds, certificates with them. */
function secretsIn(typeUrl: TypeUrl, object: ProtoObject): readonly string[] {
  const secrets: string[] = [];
  const collect = (source: ProtoObject | undefined) => {
    const { inline_string: text, inline_bytes: bytes } = source ?? {};
    if (typeof text === "string") secrets.push(text);
    // As JSON shows bytes.
    if (bytes instanceof Uint8Array) secrets.push(Buffer.from(bytes).toString("base64"));
  };
  walk(object, (each) => {
    if (typeUrl === TypeUrl.secret) collect(each);
    else for (const field of SECRET_FIELDS) collect(at(each, field));
  });
  return secrets;
}

function isAds(source: ProtoValue | undefined): boolean {
  return isObject(source) && source.ads !== undefined;
}

function at(object: ProtoObject, field: string): ProtoObject | undefined {
  const value = object[field];
  return isObject(value) ? value : undefined;
}

function isObject(value: ProtoValue | undefined): value is ProtoObject {
  return typeof value === "object" && !Array.isArray(value) && !(value instanceof Uint8Array);
}

function walk(value: ProtoValue | undefined, visit: (object: ProtoObject) => void): void {
  if (Array.isArray(value)) for (const each of value) walk(each, visit);
  if (!isObject(value)) return;
  visit(value);
  for (const each of Object.values(value)) walk(each, visit);
}
