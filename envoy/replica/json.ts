/** Reading untrusted JSON values: each function answers "this shape, or undefined" and never throws. */
export type JsonObject = { readonly [key: string]: unknown };

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

export function asObject(value: unknown): JsonObject | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
}

export function asArray(value: unknown): readonly unknown[] | undefined {
  return Array.isArray(value) ? value : undefined;
}

/** The objects among the elements of an array; other elements are left out. */
export function asObjects(value: unknown): JsonObject[] {
  const objects: JsonObject[] = [];
  for (const element of asArray(value) ?? []) {
    const object = asObject(element);
    if (object !== undefined) objects.push(object);
  }
  return objects;
}

export function asString(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** A whole number >= 1; anything else counts as absent. */
export function asCount(value: unknown): number | undefined {
  return typeof value === "number" && Number.isInteger(value) && value >= 1 ? value : undefined;
}
