/**
 * Which tool a replica calls. A model decides by meaning; a replica by a rule that a test can rely on: it calls the tool `NAME` when the
 * user's last words contain `call NAME`, or when the client forces one. It never calls again right after a tool's result.
 */
import type { ToolOffer } from "../answer.ts";
import type { Conversation } from "./content.ts";

/** What the client allows: `any` forces a call of whichever tool, a name forces that one. */
export type ToolChoice = "none" | "auto" | "any" | { readonly name: string };

export function chooseTool(
  offers: readonly ToolOffer[],
  choice: ToolChoice,
  { question, toolAnswered }: Conversation,
): ToolOffer | undefined {
  if (choice === "none" || toolAnswered) return undefined;
  if (typeof choice === "object") return offers.find(({ name }) => name === choice.name);
  const asked = [...question.matchAll(/\bcall ([\w.-]+)/g)].map(([, name]) => name);
  return offers.find(({ name }) => asked.includes(name)) ?? (choice === "any" ? offers[0] : undefined);
}
