/** Routes: `envoy/config/route/v3/route_components.proto`. */
import type { ProtoObject } from "../../protos/index.ts";
import { coversHost } from "../config/host-names.ts";
import type {
  GatewayServer,
  HeaderChanges,
  HeaderOperations,
  HttpMatch,
  HttpRoute,
  Retries,
  RouteDestination,
  StringMatch,
  VirtualService,
} from "../config/model.ts";
import { effectivePolicy } from "./clusters.ts";
import { any, protoDuration, wrapped } from "./proto-values.ts";
import { clusterName, resolveDestination, type ServiceIndex } from "./service-index.ts";

/** As Istio: safe conditions only, where the upstream has not begun to work on the request. */
const DEFAULT_RETRY: Retries = {
  attempts: 2,
  perTryTimeout: undefined,
  retryOn: "connect-failure,refused-stream,unavailable,cancelled",
};

/** Statuses a retryOn list may name by number; Envoy takes them apart from the condition names. */
const STATUS_CODE = /^[1-5]\d\d$/;

/** The route table of one listener: a virtual host per host name, routes in the order of the files. */
export function routeConfiguration(
  name: string,
  server: GatewayServer,
  virtualServices: readonly VirtualService[],
  index: ServiceIndex,
): ProtoObject {
  const byHost = new Map<string, { domain: string; routes: ProtoObject[]; catchAll: ProtoObject[] }>();
  for (const service of virtualServices) {
    for (const host of service.hosts) {
      const domain = servedDomain(host, server);
      if (domain === undefined) continue;
      const entry = byHost.get(domain.toLowerCase()) ?? { domain, routes: [], catchAll: [] };
      byHost.set(domain.toLowerCase(), entry);
      for (const [position, http] of service.http.entries()) {
        const routes = httpRoutes(service, http, position, index);
        // Several VirtualServices may share a host; a route for everything must not hide the next one's routes.
        (http.match.length === 0 ? entry.catchAll : entry.routes).push(...routes);
      }
    }
  }
  return {
    name,
    // A client may add the port to the host name, whichever port the listener was given.
    ignore_port_in_host_matching: true,
    virtual_hosts: [...byHost.values()].map(({ domain, routes, catchAll }) => ({
      name: domain,
      domains: [domain],
      routes: [...routes, ...catchAll],
    })),
  };
}

/** The host as the listener serves it: the narrower of the two patterns; undefined when it does not serve it. */
function servedDomain(host: string, server: GatewayServer): string | undefined {
  if (server.hosts.some((pattern) => coversHost(pattern, host))) return host;
  return server.hosts.find((pattern) => coversHost(host, pattern));
}

function httpRoutes(
  service: VirtualService,
  http: HttpRoute,
  position: number,
  index: ServiceIndex,
): readonly ProtoObject[] {
  const { namespace, name } = service.metadata;
  const base = http.name ?? `${namespace}.${name}.${position}`;
  const matches: readonly (HttpMatch | undefined)[] = http.match.length > 0 ? http.match : [undefined];
  return matches.map((match) => ({
    name: match?.name === undefined ? base : `${base}.${match.name}`,
    match: routeMatch(match),
    ...routeAction(service, http, match, index),
    ...headerMutations(http.headers),
  }));
}

function routeMatch(match: HttpMatch | undefined): ProtoObject {
  if (match === undefined) return { prefix: "/" };
  const headers: ProtoObject[] = [];
  if (match.method !== undefined) headers.push(headerMatcher(":method", match.method));
  if (match.authority !== undefined) headers.push(headerMatcher(":authority", match.authority));
  for (const [name, value] of match.headers) headers.push(headerMatcher(name, value));
  for (const [name, value] of match.withoutHeaders) headers.push({ ...headerMatcher(name, value), invert_match: true });
  return {
    ...pathMatch(match.uri),
    case_sensitive: match.ignoreUriCase ? { value: false } : undefined,
    headers: headers.length > 0 ? headers : undefined,
    query_parameters: match.queryParams.size > 0 ? [...match.queryParams].map(queryMatcher) : undefined,
  };
}

function pathMatch(uri: StringMatch | undefined): ProtoObject {
  if (uri === undefined || uri.kind === "present") return { prefix: "/" };
  if (uri.kind === "exact") return { path: uri.value };
  return uri.kind === "prefix" ? { prefix: uri.value } : { safe_regex: { regex: uri.value } };
}

function headerMatcher(name: string, match: StringMatch): ProtoObject {
  const header = name.toLowerCase();
  return match.kind === "present"
    ? { name: header, present_match: true }
    : { name: header, string_match: stringMatcher(match) };
}

function queryMatcher([name, match]: [string, StringMatch]): ProtoObject {
  return match.kind === "present" ? { name, present_match: true } : { name, string_match: stringMatcher(match) };
}

function stringMatcher({ kind, value }: Exclude<StringMatch, { kind: "present" }>): ProtoObject {
  return kind === "regex" ? { safe_regex: { regex: value } } : { [kind]: value };
}

function routeAction(
  service: VirtualService,
  http: HttpRoute,
  match: HttpMatch | undefined,
  index: ServiceIndex,
): ProtoObject {
  const { redirect, directResponse, rewrite } = http;
  if (redirect !== undefined) {
    return {
      redirect: {
        host_redirect: redirect.authority,
        path_redirect: redirect.uri,
        port_redirect: redirect.port,
        scheme_redirect: redirect.scheme,
        response_code: REDIRECT_CODES[redirect.redirectCode] ?? "MOVED_PERMANENTLY",
      },
    };
  }
  if (directResponse !== undefined) {
    const body = directResponse.body?.string;
    return {
      direct_response: {
        status: directResponse.status,
        body: body === undefined ? undefined : { inline_string: body },
      },
    };
  }
  return {
    route: {
      ...forwardTo(service, http.route, index),
      // 0 is no limit: Envoy's own default of 15 s ends long completions.
      timeout: protoDuration(http.timeout ?? 0),
      retry_policy: retryPolicy(http.retries ?? ruleRetries(service, http.route, index) ?? DEFAULT_RETRY),
      host_rewrite_literal: rewrite?.authority,
      ...pathRewrite(rewrite?.uri, match?.uri),
    },
  };
}

const REDIRECT_CODES: Readonly<Record<number, string>> = {
  301: "MOVED_PERMANENTLY",
  302: "FOUND",
  303: "SEE_OTHER",
  307: "TEMPORARY_REDIRECT",
  308: "PERMANENT_REDIRECT",
};

/** A prefix is replaced where a prefix was matched; otherwise the whole path is. */
function pathRewrite(uri: string | undefined, match: StringMatch | undefined): ProtoObject {
  if (uri === undefined) return {};
  if (match === undefined || match.kind === "prefix") return { prefix_rewrite: uri };
  // Envoy replaces every match of the pattern, so it must take in the whole path. A backslash is special in the substitution.
  return { regex_rewrite: { pattern: { regex: "^/.*$" }, substitution: uri.replaceAll("\\", "\\\\") } };
}

function forwardTo(service: VirtualService, route: readonly RouteDestination[], index: ServiceIndex): ProtoObject {
  const used = route.length === 1 ? route : route.filter(({ weight }) => weight !== 0);
  const clusters = used.map(({ destination, weight, headers }) => ({
    name: clusterName(resolveDestination(index, destination, service.metadata.namespace)),
    weight: wrapped(weight ?? 1),
    ...headerMutations(headers),
  }));
  const [only] = clusters;
  if (clusters.length === 1 && used[0]?.headers === undefined && only !== undefined) return { cluster: only.name };
  // With a single destination a weight of 0 would be a weighted list without any weight, which Envoy refuses.
  if (clusters.length === 1 && only !== undefined)
    return { weighted_clusters: { clusters: [{ ...only, weight: wrapped(1) }] } };
  return { weighted_clusters: { clusters } };
}

/** Retries of the DestinationRule of the first destination that has one. */
function ruleRetries(
  service: VirtualService,
  route: readonly RouteDestination[],
  index: ServiceIndex,
): Retries | undefined {
  for (const { destination } of route) {
    const { retries } = effectivePolicy(resolveDestination(index, destination, service.metadata.namespace));
    if (retries !== undefined) return retries;
  }
  return undefined;
}

function retryPolicy({ attempts, perTryTimeout, retryOn }: Retries): ProtoObject | undefined {
  if (attempts === 0) return undefined;
  const conditions = (retryOn ?? DEFAULT_RETRY.retryOn ?? "").split(",").map((each) => each.trim());
  const codes = conditions.filter((each) => STATUS_CODE.test(each));
  const names = conditions.filter((each) => !STATUS_CODE.test(each));
  if (codes.length > 0 && !names.includes("retriable-status-codes")) names.push("retriable-status-codes");
  return {
    retry_on: names.join(","),
    num_retries: wrapped(attempts),
    per_try_timeout: perTryTimeout === undefined ? undefined : protoDuration(perTryTimeout),
    retriable_status_codes: codes.length > 0 ? codes.map(Number) : undefined,
    // Another try goes to another endpoint where there is one.
    retry_host_predicate: [
      {
        name: "envoy.retry_host_predicates.previous_hosts",
        typed_config: any("envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"),
      },
    ],
    host_selection_retry_max_attempts: 5,
  };
}

function headerMutations(operations: HeaderOperations | undefined): ProtoObject {
  if (operations === undefined) return {};
  return {
    request_headers_to_add: headersToAdd(operations.request),
    request_headers_to_remove: operations.request?.remove,
    response_headers_to_add: headersToAdd(operations.response),
    response_headers_to_remove: operations.response?.remove,
  };
}

function headersToAdd(changes: HeaderChanges | undefined): readonly ProtoObject[] | undefined {
  if (changes === undefined) return undefined;
  const option = (headers: ReadonlyMap<string, string>, append_action: string) =>
    [...headers].map(([key, value]) => ({ header: { key, value }, append_action }));
  return [...option(changes.set, "OVERWRITE_IF_EXISTS_OR_ADD"), ...option(changes.add, "APPEND_IF_EXISTS_OR_ADD")];
}
