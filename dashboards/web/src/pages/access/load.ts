import { get, list, post } from '../../api/client';
import type { AuditRow, User } from '../../api/schema';

interface Asked {
  signal: AbortSignal;
}
export const usersQuery = () => ({
  queryKey: ['users'],
  queryFn: ({ signal }: Asked) => list<User>('/api/access/users', 'users', undefined, signal),
});
interface AuditPage {
  rows: AuditRow[];
}
const PAGE = 100;
export const auditQuery = () => ({
  queryKey: ['audit'],
  queryFn: ({ signal, pageParam }: Asked & { pageParam: number | null }) =>
    get<AuditPage>('/api/access/audit', { before: pageParam }, signal),
  initialPageParam: null as number | null,
  getNextPageParam: (last: AuditPage) => {
    const id = last.rows.at(-1)?.seq;
    return last.rows.length < PAGE || id === undefined ? null : id;
  },
});
export const addUser = (user: {
  name: string;
  display: string;
  roles: string[];
}): Promise<{ password: string }> => post('/api/access/users', user);
