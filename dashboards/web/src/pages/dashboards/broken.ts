// Dashboards that stand in a file and not in the list: their file is wrong and no earlier version is known.
import type { DashboardEntry, ProjectProblem } from '../../api/schema';

export function unserved(
  entries: DashboardEntry[],
  problems: ProjectProblem[],
): { name: string; problem: ProjectProblem }[] {
  const found = new Map<string, ProjectProblem>();
  for (const problem of problems) {
    const name = /^dashboards\/([^/]+)\.yaml$/.exec(problem.file)?.[1];
    if (!name || problem.severity !== 'error' || found.has(name)) continue;
    if (!entries.some((entry) => entry.name === name)) found.set(name, problem);
  }
  return [...found].map(([name, problem]) => ({ name, problem }));
}
