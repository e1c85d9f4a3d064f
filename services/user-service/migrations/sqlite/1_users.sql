-- AUTOINCREMENT: the id of a user who was deleted is never given to another.
CREATE TABLE users (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    name  TEXT NOT NULL,
    email TEXT NOT NULL
);

-- One user per address, however it is capitalised.
CREATE UNIQUE INDEX users_email ON users (lower(email));

WITH RECURSIVE seed (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM seed WHERE id < 100)
INSERT INTO users (id, name, email)
SELECT id, 'User ' || id, 'user' || id || '@example.org' FROM seed;

-- New users begin at 1001; 998 and 999 are the built-in faults'.
UPDATE sqlite_sequence SET seq = 1000 WHERE name = 'users';
