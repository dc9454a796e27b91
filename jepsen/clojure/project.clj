(defproject openshell-history "0.1.0"
  :description "Reads history.edn and asks Knossos whether each profile's history is linearizable."
  :license {:name "Apache-2.0"}
  :dependencies [[org.clojure/clojure "1.11.1"]
                 [knossos "0.3.8"]]
  :main openshell.history
  :jvm-opts ["-Xmx4g" "-Djava.awt.headless=true"])
