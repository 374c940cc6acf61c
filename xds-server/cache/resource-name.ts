/**
 * Resource names of the xdstp:// scheme (https://github.com/cncf/xds/blob/main/proposals/TP1-xds-transport-next.md): `xdstp://authority/type/id?context`.
 * Two names with the same context parameters in another order are the same name, and a name whose id ends in `/*` is a collection: every name
 * that differs from it in the last segment of the id only.
 *
 * Any other name is opaque: it stays as it is, and `*` inside it means nothing.
 */

const SCHEME = "xdstp://";

/** The name with its context parameters sorted; the same string when there is nothing to sort. Directives (`#...`) say where else to look for a resource and are no part of its name. */
export function canonicalName(name: string): string {
  if (!name.startsWith(SCHEME)) return name;
  const directives = name.indexOf("#");
  const bare = directives === -1 ? name : name.slice(0, directives);
  const query = bare.indexOf("?");
  if (query === -1) return bare;
  const parameters = bare.slice(query + 1).split("&");
  const sorted = parameters.filter((each) => each !== "").sort();
  return sorted.length === 0 ? bare.slice(0, query) : `${bare.slice(0, query)}?${sorted.join("&")}`;
}

/** Whether a canonical name is a glob collection. */
export function isCollection(name: string): boolean {
  return name.startsWith(SCHEME) && idOf(name).endsWith("/*");
}

/** The glob collection that a canonical xdstp name belongs to; undefined for any other name. As in Envoy, a collection is one level deep. */
export function collectionOf(name: string): string | undefined {
  if (!name.startsWith(SCHEME)) return undefined;
  const id = idOf(name);
  const cut = id.lastIndexOf("/");
  return cut < SCHEME.length ? undefined : `${id.slice(0, cut)}/*${name.slice(id.length)}`;
}

/** What stands before the context parameters. */
function idOf(name: string): string {
  const query = name.indexOf("?");
  return query === -1 ? name : name.slice(0, query);
}
