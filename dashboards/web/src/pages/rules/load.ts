import { get, list } from '../../api/client';
import type { RuleDetail, RuleEntry } from '../../api/schema';
import { can } from '../../lib/session.svelte';

interface Asked {
  signal: AbortSignal;
}
export const rulesQuery = () => ({
  queryKey: ['rules'],
  queryFn: ({ signal }: Asked) => list<RuleEntry>('/api/rules', 'rules', undefined, signal),
  enabled: can('ReadRules'),
});
export const ruleQuery = (name: string) => ({
  queryKey: ['rule', name],
  queryFn: ({ signal }: Asked) =>
    get<RuleDetail>(`/api/rules/${encodeURIComponent(name)}`, undefined, signal),
});
