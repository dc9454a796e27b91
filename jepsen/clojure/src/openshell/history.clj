(ns openshell.history
  "A second opinion by another checker. What is under a key is a register with a version, or absent: :init and :create
  make it, :cas names the version that it was made on and leaves the next one, :remove ends it, :read sees version and
  text. Keys are judged each by itself, so of a :txn each part is."
  (:require [clojure.edn :as edn]
            [clojure.java.io :as io]
            [knossos.competition :as competition]
            [knossos.model :as model])
  (:gen-class))

(declare ->Register)

(defn after
  "What is under the key after an operation on what is there, as [what], or nil when it cannot be."
  [there {:keys [f value]}]
  (let [[version text] there]
    (case f
      :init   [value]
      :create (when (nil? there) [[1 value]])
      :cas    (when (and there (= version (first value))) [[(inc version) (second value)]])
      :remove (when there [nil])
      :read   (when (or (nil? value) (= value (or there :absent))) [there]))))

(defrecord Register [there]
  model/Model
  (step [_ op]
    (if-let [[there] (after there op)]
      (->Register there)
      (model/inconsistent (str (:f op) " " (pr-str (:value op)) " on " (pr-str there))))))

(defn parts
  "An operation as operations on one key each, with payloads for values."
  [{:keys [f value] :as op}]
  (for [[f k payload] (if (= f :txn) value [(into [f] value)])]
    [k (assoc op :f f :value payload)]))

(defn by-key
  "Histories of clients' calls, by key. Faults and what is no register are left out."
  [ops]
  (->> ops
       (filter #(and (integer? (:process %)) (#{:init :create :cas :remove :read :txn} (:f %))))
       (mapcat parts)
       (remove #(= :read-local (:f (second %))))
       (reduce (fn [histories [k op]] (update histories k (fnil conj []) op)) (sorted-map))))

(defn judge [[k history]]
  (let [found (competition/analysis (->Register nil) history)]
    (println k (:valid? found) (count history) "lines")
    (when-not (true? (:valid? found)) (prn (select-keys found [:op :previous-ok :last-op :cause])))
    (:valid? found)))

(defn -main [file]
  (let [ops      (with-open [lines (io/reader file)] (mapv edn/read-string (line-seq lines)))
        verdicts (mapv judge (by-key ops))
        verdict  (cond (some false? verdicts)                               false
                       (and (seq verdicts) (every? true? verdicts))         true
                       :else                                                :unknown)]
    (println "valid?" verdict)
    (shutdown-agents)
    (System/exit (case verdict true 0, false 1, :unknown 2))))
