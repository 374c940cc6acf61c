/** VirtualService: https://istio.io/latest/docs/reference/config/networking/virtual-service/ */
import { fail } from "../cursor.ts";
import type {
  Destination,
  DirectResponse,
  HttpMatch,
  HttpRoute,
  Redirect,
  Rewrite,
  RouteDestination,
  StringMatch,
  VirtualService,
} from "../model.ts";
import { list, map, object, optional, type Reader, required, withDefault } from "../reader.ts";
import { boolean, duration, integer, oneOf, text } from "../scalars.ts";
import { exactHost, headerOperations, hostPattern, portNumber, retries } from "./metadata.ts";
import { regexProblem } from "./regex.ts";

interface RawMatch {
  readonly exact: string | undefined;
  readonly prefix: string | undefined;
  readonly regex: string | undefined;
}

const regex: Reader<string> = (cursor) => {
  const pattern = text({ max: 1_024 })(cursor);
  if (pattern === undefined) return undefined;
  const problem = regexProblem(pattern);
  return problem === undefined ? pattern : fail(cursor, "TM_CONFIG_INVALID_VALUE", problem);
};

const rawMatch = object<RawMatch>({
  exact: optional(text({ min: 0 })),
  prefix: optional(text()),
  regex: optional(regex),
});

/** `{exact|prefix|regex: value}`; an empty mapping means that the header is there. */
const stringMatch: Reader<StringMatch> = (cursor) => {
  const raw = rawMatch(cursor);
  if (raw === undefined) return undefined;
  const kinds = (["exact", "prefix", "regex"] as const).filter((kind) => raw[kind] !== undefined);
  const [kind] = kinds;
  if (kind === undefined) return { kind: "present" };
  if (kinds.length > 1)
    return fail(cursor, "TM_CONFIG_CONFLICT", `has ${kinds.join(" and ")}`, "Use one of exact, prefix and regex.");
  return { kind, value: raw[kind] ?? "" };
};

const valueMatch: Reader<StringMatch> = (cursor) => {
  const match = stringMatch(cursor);
  if (match?.kind !== "present") return match;
  return fail(cursor, "TM_CONFIG_MISSING_FIELD", "needs one of exact, prefix and regex");
};

const headerMatches = map(stringMatch, { max: 64 });

const httpMatch: Reader<HttpMatch> = object<HttpMatch>(
  {
    name: optional(text({ max: 253 })),
    uri: optional(valueMatch),
    ignoreUriCase: withDefault(boolean, false),
    method: optional(valueMatch),
    authority: optional(valueMatch),
    headers: withDefault(headerMatches, new Map()),
    withoutHeaders: withDefault(headerMatches, new Map()),
    queryParams: withDefault(headerMatches, new Map()),
  },
  {
    unsupported: {
      scheme: "Remove scheme; listeners speak plain HTTP.",
      port: "Use a Gateway of its own for each port.",
      gateways: "Use a VirtualService of its own for each Gateway.",
      sourceLabels: "Remove sourceLabels.",
      sourceNamespace: "Remove sourceNamespace.",
      statPrefix: "Remove statPrefix.",
    },
  },
);

const destination: Reader<Destination> = object<Destination>({
  host: required(exactHost),
  subset: optional(text({ max: 253 })),
  port: optional(object<{ readonly number: number }>({ number: required(portNumber) })),
});

const routeDestination: Reader<RouteDestination> = object<RouteDestination>({
  destination: required(destination),
  weight: optional(integer({ min: 0, max: 1_000_000 })),
  headers: optional(headerOperations),
});

const redirect: Reader<Redirect> = object<Redirect>(
  {
    uri: optional(text()),
    authority: optional(text()),
    port: optional(portNumber),
    scheme: optional(oneOf(["http", "https"])),
    redirectCode: withDefault(integer({ min: 301, max: 308 }), 301),
  },
  { unsupported: { derivePort: "Write the port." } },
);

const directResponse: Reader<DirectResponse> = object<DirectResponse>({
  status: required(integer({ min: 200, max: 599 })),
  body: optional(
    object<{ readonly string: string | undefined }>(
      { string: optional(text({ min: 0, max: 4_096 })) },
      { unsupported: { bytes: "Use string." } },
    ),
  ),
});

const rewrite: Reader<Rewrite> = object<Rewrite>(
  { uri: optional(text()), authority: optional(text({ max: 255 })) },
  { unsupported: { uriRegexRewrite: "Use uri with a prefix match." } },
);

const fields: Reader<HttpRoute> = object<HttpRoute>(
  {
    name: optional(text({ max: 253 })),
    match: withDefault(list(httpMatch, { max: 256 }), []),
    route: withDefault(list(routeDestination, { max: 256 }), []),
    redirect: optional(redirect),
    directResponse: optional(directResponse),
    rewrite: optional(rewrite),
    timeout: optional(duration({ minMs: 0 })),
    retries: optional(retries),
    headers: optional(headerOperations),
  },
  {
    unsupported: {
      fault: "Remove fault.",
      mirror: "Remove mirror.",
      mirrors: "Remove mirrors.",
      mirrorPercentage: "Remove mirrorPercentage.",
      mirrorPercent: "Remove mirrorPercent.",
      corsPolicy: "Remove corsPolicy.",
      delegate: "Write the delegate's routes here.",
    },
  },
);

const httpRoute: Reader<HttpRoute> = (cursor) => {
  const route = fields(cursor);
  if (route === undefined) return undefined;
  const actions = [route.route.length > 0, route.redirect !== undefined, route.directResponse !== undefined];
  const count = actions.filter(Boolean).length;
  if (count !== 1) {
    const message =
      count === 0
        ? "has no route, redirect or directResponse"
        : "has more than one of route, redirect and directResponse";
    return fail(
      cursor,
      count === 0 ? "TM_CONFIG_MISSING_FIELD" : "TM_CONFIG_CONFLICT",
      message,
      "Give it exactly one of the three.",
    );
  }
  if (route.route.length > 1 && route.route.every(({ weight }) => (weight ?? 0) === 0)) {
    return fail(
      cursor,
      "TM_CONFIG_INVALID_VALUE",
      "all weights are 0",
      "Give at least one destination a weight above 0.",
    );
  }
  if (route.route.length > 1) {
    const bare = route.route.findIndex(({ weight }) => weight === undefined);
    if (bare !== -1)
      return fail(
        cursor,
        "TM_CONFIG_MISSING_FIELD",
        `route[${bare}] has no weight`,
        "With several destinations each needs a weight.",
      );
  }
  return route;
};

type Spec = Omit<VirtualService, "metadata">;

/** The spec of a VirtualService. */
export const virtualServiceSpec: Reader<Spec> = object<Spec>(
  {
    hosts: required(list(hostPattern, { min: 1, max: 1_000 })),
    gateways: optional(
      list(text({ max: 320, pattern: /^([^/]+\/)?[^/]+$/, what: "[namespace/]name" }), { min: 1, max: 100 }),
    ),
    http: required(list(httpRoute, { min: 1, max: 2_000 })),
  },
  {
    ignored: ["exportTo"],
    unsupported: { tcp: "Remove tcp; only HTTP is routed.", tls: "Remove tls; only HTTP is routed." },
  },
);
