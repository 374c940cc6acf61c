/** The part of a route's schema that describes it: tag, summary, answers. */
import type { TSchema, TUnknown } from "typebox";
import { ERROR_SCHEMA } from "./schemas.ts";

export type Tag = "health" | "state" | "changes" | "weights" | "kinds" | "registry";

/** Handlers return readonly values of the ports, which the mutable types of schemas would refuse: the shapes are held against each other by tests, not by the compiler. */
type Answers = { readonly [status: number]: TUnknown };

export interface Description {
  readonly tags: readonly Tag[];
  readonly summary: string;
  readonly response: Answers;
}

/**
 * @param answer shape of 200
 * @param errors statuses that this route answers with an error for reasons of its own
 */
export function described(tag: Tag, summary: string, answer: TSchema, errors: readonly number[] = []): Description {
  const response = {
    200: answer,
    ...Object.fromEntries(errors.map((status) => [status, { $ref: `${ERROR_SCHEMA}#` }])),
  };
  return { tags: [tag], summary, response: response as unknown as Answers };
}
