/** Kubernetes metadata, as far as it matters here, and readers that several kinds share. */
import type { HeaderChanges, HeaderOperations, Metadata, Retries } from "../model.ts";
import { list, map, object, optional, type Reader, required, withDefault } from "../reader.ts";
import { duration, integer, text } from "../scalars.ts";

const DNS_LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const DNS_SUBDOMAIN = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/;

export const metadata: Reader<Metadata> = object<Metadata>(
  {
    name: required(
      text({ max: 253, pattern: DNS_SUBDOMAIN, what: "a Kubernetes name (lower-case letters, digits, '-' and '.')" }),
    ),
    namespace: withDefault(
      text({ max: 63, pattern: DNS_LABEL, what: "a namespace (lower-case letters, digits and '-')" }),
      "default",
    ),
    annotations: optional(map(text({ min: 0, max: 262_144 }))),
  },
  {
    ignored: [
      "labels",
      "uid",
      "resourceVersion",
      "generation",
      "creationTimestamp",
      "managedFields",
      "ownerReferences",
      "finalizers",
    ],
  },
);

/** Readers of labels accept what Kubernetes accepts. */
export const labels = map(
  text({ min: 0, max: 63, pattern: /^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$/, what: "a label value" }),
);

/** A host that a rule is about or a request goes to: exact. */
export const exactHost = text({
  max: 253,
  pattern: /^[A-Za-z0-9_]([-A-Za-z0-9_.]*[A-Za-z0-9_])?$/,
  what: "a host name",
});

/** Source of the pattern for a host of a request: exact, `*.suffix`, `*`, or an IP address. */
export const HOST_PATTERN = "\\*|(\\*\\.)?[A-Za-z0-9_]([-A-Za-z0-9_.]*[A-Za-z0-9_])?|\\[?[0-9a-fA-F:.]+\\]?";

export const hostPattern = text({
  max: 255,
  pattern: new RegExp(`^(${HOST_PATTERN})$`),
  what: "a host name, *.suffix or *",
});

export const portNumber = integer({ min: 1, max: 65_535 });

export const headerName = text({ max: 256, pattern: /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, what: "a header name" });

/** Conditions of https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/router_filter#x-envoy-retry-on, or a status code. */
const RETRY_ON =
  /^(5xx|gateway-error|reset|reset-before-request|connect-failure|envoy-ratelimited|retriable-4xx|refused-stream|retriable-status-codes|retriable-headers|http3-post-connect-failure|cancelled|deadline-exceeded|internal|resource-exhausted|unavailable|[1-5]\d\d)$/;
const RETRY_ON_LIST = new RegExp(`^ *${RETRY_ON.source.slice(1, -1)}( *, *${RETRY_ON.source.slice(1, -1)})* *$`);

export const retries: Reader<Retries> = object<Retries>(
  {
    attempts: withDefault(integer({ min: 0, max: 100 }), 2),
    perTryTimeout: optional(duration()),
    retryOn: optional(
      text({
        max: 512,
        pattern: RETRY_ON_LIST,
        what: "a comma-separated list of Envoy retry conditions or status codes",
      }),
    ),
  },
  {
    ignored: ["retryRemoteLocalities"],
    unsupported: {
      backoff: "Remove backoff; Envoy's default of 25 ms is used.",
      retryIgnorePreviousHosts: "Remove it; other hosts are always preferred.",
    },
  },
);

const headerChanges: Reader<HeaderChanges> = object<HeaderChanges>({
  set: withDefault(map(text({ min: 0, max: 8_192 }), { max: 100 }), new Map()),
  add: withDefault(map(text({ min: 0, max: 8_192 }), { max: 100 }), new Map()),
  remove: withDefault(list(headerName, { max: 100 }), []),
});

export const headerOperations: Reader<HeaderOperations> = object<HeaderOperations>({
  request: optional(headerChanges),
  response: optional(headerChanges),
});
