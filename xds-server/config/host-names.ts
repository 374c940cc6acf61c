/** Host names as Istio resolves them: exact first, then a short name in the namespace of whoever uses it. */

/** The names that a host in a rule of `namespace` may stand for, in the order in which they are tried. */
function hostCandidates(host: string, namespace: string): readonly string[] {
  const lower = host.toLowerCase();
  return lower.includes(".") ? [lower] : [lower, `${lower}.${namespace}.svc.cluster.local`];
}

/** The key of a map by host that a rule of `namespace` means with `host`; undefined when there is none. */
export function resolveHost(known: ReadonlyMap<string, unknown>, host: string, namespace: string): string | undefined {
  return hostCandidates(host, namespace).find((candidate) => known.has(candidate));
}

/** The value under {@link resolveHost}. */
export function findByHost<T>(map: ReadonlyMap<string, T>, host: string, namespace: string): T | undefined {
  const key = resolveHost(map, host, namespace);
  return key === undefined ? undefined : map.get(key);
}

/** Whether a pattern (`*`, `*.suffix` or exact) of a Gateway covers a host or a narrower pattern. */
export function coversHost(pattern: string, host: string): boolean {
  if (pattern === "*") return true;
  const [a, b] = [pattern.toLowerCase(), host.toLowerCase()];
  return a === b || (a.startsWith("*.") && b.endsWith(a.slice(1)) && b.length > a.length - 1);
}

/** `host` or `host:port`, as a destination. */
export function splitHostPort(text: string): {
  readonly host: string;
  readonly port: { readonly number: number } | undefined;
} {
  const [, host = text, port] = /^(.*):(\d{1,5})$/.exec(text) ?? [];
  return { host, port: port === undefined ? undefined : { number: Number(port) } };
}
