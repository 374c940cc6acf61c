/**
 * Resources as a response carries them, encoded once per Resource object and shared by all streams. The bytes are never written to.
 */
import { anyOfWrapped, encodeWrappedResource } from "../../protos/index.ts";
import type { Resource } from "./resource.ts";

/** A kept encoding; it goes when its resource goes. */
function oncePerResource(encode: (resource: Resource) => Uint8Array): (resource: Resource) => Uint8Array {
  const kept = new WeakMap<Resource, Uint8Array>();
  return (resource) => {
    const known = kept.get(resource);
    if (known !== undefined) return known;
    const bytes = encode(resource);
    kept.set(resource, bytes);
    return bytes;
  };
}

const withTtl = oncePerResource((resource) => encodeWrappedResource(resource));

const withoutTtl = oncePerResource(({ name, version, any, aliases }) =>
  encodeWrappedResource({ name, version, any, ...(aliases === undefined ? {} : { aliases }) }),
);

const inAny = oncePerResource((resource) => anyOfWrapped(withTtl(resource)));

/**
 * `envoy.service.discovery.v3.Resource` for a delta response.
 * @param ttl false for a client that does not know TTLs
 */
export function deltaBytes(resource: Resource, ttl = true): Uint8Array {
  return ttl && resource.ttlMs !== undefined ? withTtl(resource) : withoutTtl(resource);
}

/** The same without body: the resource is as it was, and its TTL begins again. */
export const heartbeatBytes = oncePerResource(({ name, version, ttlMs }) =>
  encodeWrappedResource({ name, version, ...(ttlMs === undefined ? {} : { ttlMs }) }),
);

/** Says of a virtual host that was asked for that there is none, so that the paused request goes on. */
export function missingBytes(name: string, aliases: readonly string[]): Uint8Array {
  return encodeWrappedResource({ name, aliases });
}

/**
 * The Any for `DiscoveryResponse.resources`: the resource itself, or wrapped when it has a TTL.
 * @param ttl false for a client that does not know TTLs or wrapped resources
 */
export function sotwAny(resource: Resource, ttl: boolean): Uint8Array {
  return ttl && resource.ttlMs !== undefined ? inAny(resource) : resource.any;
}
