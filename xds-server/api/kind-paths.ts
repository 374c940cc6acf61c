/** Kinds as Kubernetes addresses them: `/apis/GROUP/VERSION/namespaces/NAMESPACE/PLURAL/NAME`, and `/api/v1/...` for those of no group. */
import type { Identity } from "./ports.ts";

export interface ServedKind {
  readonly kind: string;
  readonly apiVersions: readonly string[];
}

/** A kind under one of its apiVersions. */
export interface KindAddress {
  readonly kind: string;
  readonly plural: string;
  readonly apiVersion: string;
}

/** The plural of a kind in a path, by the rules of English that Kubernetes' own tools use. */
export function pluralOf(kind: string): string {
  const word = kind.toLowerCase();
  if (word.endsWith("s")) return word;
  return /[^aeiou]y$/.test(word) ? `${word.slice(0, -1)}ies` : `${word}s`;
}

/** The kind behind a path; undefined when no kind of the group and version has that plural. */
export function kindAt(
  kinds: readonly ServedKind[],
  group: string,
  version: string,
  plural: string,
): KindAddress | undefined {
  const apiVersion = group === "" ? version : `${group}/${version}`;
  const found = kinds.find(({ kind, apiVersions }) => apiVersions.includes(apiVersion) && pluralOf(kind) === plural);
  return found === undefined ? undefined : { kind: found.kind, plural, apiVersion };
}

/** A kind by what people type: its name, its plural, in any case. The first apiVersion counts. */
export function kindNamed(kinds: readonly ServedKind[], name: string): KindAddress | undefined {
  const word = name.toLowerCase();
  const found = kinds.find(({ kind }) => kind.toLowerCase() === word || pluralOf(kind) === word);
  const apiVersion = found?.apiVersions[0];
  return found === undefined || apiVersion === undefined
    ? undefined
    : { kind: found.kind, plural: pluralOf(found.kind), apiVersion };
}

export function kindPath({ apiVersion, plural }: KindAddress, namespace: string, name?: string): string {
  const root = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  return `${root}/namespaces/${namespace}/${plural}${name === undefined ? "" : `/${name}`}`;
}

export function identityOf(kind: string, namespace: string, name: string): Identity {
  return `${kind}/${namespace}/${name}`;
}
