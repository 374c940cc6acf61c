/** An entry of a VirtualService -> routes: `envoy/config/route/v3/route_components.proto`. */
import type { ProtoObject } from "../../protos/index.ts";
import type {
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
import { protoDuration, wrapped } from "./proto-values.ts";
import { DEFAULT_RETRY, retryPolicy } from "./retry-policy.ts";
import { clusterName, resolveDestination, type ServiceIndex } from "./service-index.ts";

/** One entry of a VirtualService: a route per match. */
export function httpRoutes(
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
      ...forwardTo(service, http, index),
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

/** Destinations that get requests: of several, those with a weight. */
function usedDestinations({ route }: HttpRoute): readonly RouteDestination[] {
  return route.length === 1 ? route : route.filter(({ weight }) => weight !== 0);
}

/** The clusters that the routes of an entry name. */
export function clustersOf(service: VirtualService, http: HttpRoute, index: ServiceIndex): readonly string[] {
  const { namespace } = service.metadata;
  return usedDestinations(http).map(({ destination }) =>
    clusterName(resolveDestination(index, destination, namespace)),
  );
}

function forwardTo(service: VirtualService, http: HttpRoute, index: ServiceIndex): ProtoObject {
  const used = usedDestinations(http);
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
