/**
 * `Node.dynamic_parameters`: what a client says about itself for each type of resource, and may say otherwise while its stream is open.
 * https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/core/v3/base.proto
 */

/** `xds.core.v3.ContextParams` by type URL. Objects without prototype: all keys are the client's. */
export type DynamicParameters = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** Of the many clients that say nothing. */
export const NO_DYNAMIC_PARAMETERS: DynamicParameters = Object.freeze(Object.create(null));

/** O(parameters); a map comes in another order each time it is sent. */
export function sameDynamicParameters(a: DynamicParameters, b: DynamicParameters): boolean {
  if (a === b) return true;
  const types = Object.entries(a);
  return (
    types.length === Object.keys(b).length &&
    types.every(([typeUrl, params]) => {
      const others = b[typeUrl];
      const entries = Object.entries(params);
      if (others === undefined || entries.length !== Object.keys(others).length) return false;
      return entries.every(([key, value]) => others[key] === value);
    })
  );
}
