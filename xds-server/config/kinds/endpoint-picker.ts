/** EndpointPicker: the configuration of filters/hash-ring, checked here with the filter's own limits so that a mistake never reaches Envoy. */
import { isScalar } from "yaml";
import type { EndpointPickerSpec, LoadsFeed } from "../endpoint-picker-model.ts";
import { extended, object, optional, type Reader, required, withDefault } from "../reader.ts";
import { boolean, integer } from "../scalars.ts";
import { declaredBy, lowerHeader } from "./llm-names.ts";
import { trafficFields } from "./llm-traffic.ts";
import { pickerPools } from "./pick-pool.ts";

const DEFAULT_FEED: LoadsFeed = { intervalMs: 250, maxAgeMs: 1_000 };

const feedFields = object<LoadsFeed>({
  intervalMs: withDefault(integer({ min: 50, max: 10_000 }), DEFAULT_FEED.intervalMs),
  maxAgeMs: withDefault(integer({ min: 100, max: 60_000 }), DEFAULT_FEED.maxAgeMs),
});

/** `false` for none, `true` or an object for one. */
const feed: Reader<LoadsFeed | "none"> = (cursor) => {
  if (!isScalar(cursor.node)) return feedFields(cursor);
  const wanted = boolean(cursor);
  return wanted === undefined ? undefined : wanted ? DEFAULT_FEED : "none";
};

type Written = Omit<EndpointPickerSpec, "feed"> & { readonly feed: LoadsFeed | "none" };

/** The spec of an EndpointPicker. */
export const endpointPickerSpec: Reader<EndpointPickerSpec> = (cursor) => {
  const spec = object<Written>({
    ...trafficFields,
    servedHeader: optional(lowerHeader),
    feed: withDefault(feed, DEFAULT_FEED),
    pools: required(pickerPools(declaredBy(cursor))),
  })(cursor);
  if (spec === undefined) return undefined;
  const { feed: written } = spec;
  return extended(spec as Omit<Written, "feed">, { feed: written === "none" ? undefined : written });
};
