"""What a year of a small district has too few of: challenges, pairs that may be one, a town's rolls, requests for access."""

from __future__ import annotations

# One case of each among so many: lines of a list that are challenged, persons of a pair, persons told differently.
USUAL = {"challenge": 14, "pair": 100, "roll": 50}
EVERYBODY = dict.fromkeys(USUAL, 1)

_CHALLENGES = """
INSERT INTO {d}.challenge (challenge_id, kind, record_type, record_id, reason, raised_by, raised_by_name, raised_at,
                           against, due_on, state, answer, answered_at, closed_at, item_id, person_id, areas, opened_version)
SELECT overlay(i.item_id::text PLACING 'c' FROM 20)::uuid, 'untrue', i.record_type, i.record_id, '入户核实无此事',
       o.code, o.name, now() - n % 300 * interval '1 day', i.source, current_date + 10 - n % 300,
       (ARRAY['open', 'answered', 'closed'])[1 + n % 3], (ARRAY['', 'stands', 'stands'])[1 + n % 3],
       CASE WHEN n % 3 > 0 THEN now() END, CASE WHEN n % 3 = 2 THEN now() END, i.item_id, i.person_id,
       ARRAY[i.town, coalesce(i.village, i.town)], i.version
  FROM (SELECT *, (row_number() OVER (ORDER BY item_id))::integer AS n FROM {d}.round_item
         WHERE record_type <> 'town_verification') i
  JOIN shared.organisation o ON o.area_id = i.town AND o.kind = 'town' WHERE :copies > 0 AND n % CAST(:challenge AS integer) = 0
"""
_PAIRS = """
INSERT INTO {d}.person_pair (first_id, second_id, score, features, state, organisation, found_at)
SELECT least(person_id, other), greatest(person_id, other), 25 + n % 7,
       '{"name": ["variant", 11.5], "birth_date": ["equal", 13.0], "sex": ["equal", 1.0]}', 'open',
       CASE WHEN n % 3 = 0 THEN '' ELSE code END, now() - n % 300 * interval '1 day'
  FROM (SELECT p.person_id, lead(p.person_id, 7) OVER (PARTITION BY a.town_id ORDER BY p.person_id) AS other,
               row_number() OVER (ORDER BY p.person_id) AS n, o.code
          FROM {d}.person_profile p JOIN {d}.area_place a ON a.area_id = p.home_area
          JOIN shared.organisation o ON o.area_id = a.town_id AND o.kind = 'town') t
 WHERE :copies > 0 AND n % CAST(:pair AS integer) = 0 AND other IS NOT NULL
"""
_ROLLS = """
INSERT INTO {d}.roll_check (roll_id, organisation, town, file_name, sha256, state, asked_by, asked_at, compared_at, counts)
SELECT ('99000000-0000-7000-8000-' || lpad(to_hex(o.area_id * 100 + n), 12, '0'))::uuid, o.code, o.area_id, '名册.xlsx', 'x',
       'compared', 'bench', now() - n * interval '30 days', now() - n * interval '30 days',
       '{"rows": 80000, "same": 78000, "missing_here": 500, "missing_there": 500, "different": 1000}'
  FROM shared.organisation o, generate_series(1, 12) n WHERE :copies > 0 AND o.kind = 'town'
"""
_ROLL_ITEMS = """
INSERT INTO {d}.roll_item (roll_id, item_no, kind, organisation, village, person_id, sheet_row, told)
SELECT c.roll_id, row_number() OVER (PARTITION BY c.roll_id ORDER BY p.person_id), 'different', c.organisation,
       p.home_area, p.person_id, row_number() OVER (PARTITION BY c.roll_id ORDER BY p.person_id),
       jsonb_build_object('*fields', jsonb_build_array('live_addr'), 'name', jsonb_build_array(p.name, p.name, p.name),
         'id_no', jsonb_build_array(p.id_no, p.id_no, p.id_no), 'live_addr', jsonb_build_array('幸福路1号', '光明路2号', ''))
  FROM (SELECT *, row_number() OVER (ORDER BY person_id) AS n FROM {d}.person_profile) p
  JOIN {d}.area_place a ON a.area_id = p.home_area
  JOIN {d}.roll_check c ON c.town = a.town_id
 WHERE :copies > 0 AND n % CAST(:roll AS integer) = 0 AND c.asked_at > now() - interval '40 days'
"""
_REQUESTS = """
INSERT INTO admin.access_request (request_id, act, object, content, reason, state, asked_by, asked_at, decided_by, decided_at)
SELECT gen_random_uuid(), 'reset_password', a.login || '-' || k, '{}', '忘记密码',
       CASE WHEN k % 4 = 0 THEN 'waiting' ELSE 'confirmed' END, a.login, now() - k * interval '1 day',
       CASE WHEN k % 4 > 0 THEN 'anquan-2' END, CASE WHEN k % 4 > 0 THEN now() END
  FROM admin.account a, generate_series(1, least(:copies, 300)) k
 WHERE a.roles && ARRAY['system_administrator', 'data_officer']
"""
# One in twenty of what towns looked at was otherwise.
_UNTRUE = """
UPDATE {d}.rec_town_verification SET result = '2'
 WHERE :copies > 0 AND result = '1' AND hashtextextended(record_id::text, 0) % 20 = 0
"""
CASES = (_UNTRUE, _CHALLENGES, _PAIRS, _ROLLS, _ROLL_ITEMS, _REQUESTS)
