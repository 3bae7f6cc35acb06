CREATE TABLE meta ("key" VARCHAR(32) NOT NULL, value VARCHAR(200) NOT NULL, PRIMARY KEY ("key"));
INSERT INTO meta VALUES ('version', '1'), ('identity', 'c0ffee');
CREATE TABLE events (station VARCHAR(64) NOT NULL, seq BIGINT NOT NULL, kind VARCHAR(32) NOT NULL, wall_s FLOAT NOT NULL, time_s FLOAT NOT NULL, cycle INTEGER NOT NULL, phase VARCHAR(200), confidence FLOAT NOT NULL, message BLOB NOT NULL, PRIMARY KEY (station, seq));
CREATE INDEX events_by_time ON events (station, wall_s);
CREATE TABLE cycles (station VARCHAR(64) NOT NULL, seq BIGINT NOT NULL, cycle INTEGER NOT NULL, ended_wall_s FLOAT NOT NULL, duration_s FLOAT, coverage FLOAT, finished BOOLEAN NOT NULL, PRIMARY KEY (station, seq));
CREATE TABLE phase_durations (station VARCHAR(64) NOT NULL, seq BIGINT NOT NULL, cycle INTEGER NOT NULL, phase VARCHAR(200) NOT NULL, ended_wall_s FLOAT NOT NULL, duration_s FLOAT, PRIMARY KEY (station, seq));
CREATE TABLE checkpoints (station VARCHAR(64) NOT NULL, saved_wall_s FLOAT NOT NULL, data BLOB NOT NULL, PRIMARY KEY (station));
INSERT INTO cycles VALUES ('bench', 7, 3, 1000.0, 12.5, 0.9, 1);
